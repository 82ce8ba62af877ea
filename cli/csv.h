/* Lines of comma-separated values (RFC 4180, without line ends inside quotes). */
#ifndef FP_CLI_CSV_H
#define FP_CLI_CSV_H

#include <stdio.h>

#define CSV_MAX_FIELDS 16
#define CSV_LINE_BYTES 4096

struct csv {
    FILE *file;
    long line; /* of the last one read, from 1 */
    char text[CSV_LINE_BYTES];
    char *fields[CSV_MAX_FIELDS];
    int n;
};

/* Reads the next line that is not blank into fields[0..n). 1; 0 at the end;
 * -1 on a line that is none: *why says what is wrong with it. */
int csv_read(struct csv *c, const char **why);
/* One field, quoted where it must be; a comma before it unless first. Text that
 * a spreadsheet would take for a formula gets an apostrophe in front. */
void csv_write(FILE *out, const char *text, int first);

#endif
