/* The files that templates are made of. Private to lib/render. */
#ifndef FP_RENDER_FILES_H
#define FP_RENDER_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

enum file_kind { FILE_SUBJECT, FILE_TEXT, FILE_HTML, FILE_PARTIAL, FILE_MESSAGES, FILE_KINDS };

struct file {
    enum file_kind kind;
    char *name; /* "statement.html" */
    char *stem; /* "statement" */
    char *dir;
    char *text;
};

struct files {
    struct file *items; /* by name */
    size_t n;
};

struct files *files_new(void);
void files_free(struct files *f);
/* Reads a folder; a file takes the place of an earlier folder's of its name,
 * but messages (*.properties) go behind them. "": nothing. */
int files_read(struct files *f, const char *dir, struct fp_err *err) FP_MUST_CHECK;
bool files_same_folder(const char *a, const char *b);
/* SHA-256 of all names and texts, in hex. */
void files_hash(const struct files *f, char out[65]);
/* Puts the folder before an error that begins with a file's name; false: with none. */
bool files_name(const struct files *f, struct fp_err *err);

#endif
