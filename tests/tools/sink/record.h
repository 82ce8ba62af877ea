/* Who got a mail: the sink's record, and the mails kept to be read. */
#ifndef FP_SINK_RECORD_H
#define FP_SINK_RECORD_H

#include <stdint.h>

#include "lib/base/str.h"

/* NULL: no record, no mails kept. Ends the process when it cannot. */
void record_open(const char *path, const char *keep_dir, int64_t keep);
/* An accepted mail: its line is in memory, and in the file after record_write(). */
void record_mail(const struct fp_str *body, const char *rcpt);
void record_write(void);
void record_close(void);
int64_t record_count(void);

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);

#endif
