/* Message-IDs of ours in a file of any form: a provider's log, a relay's, the sink's record. */
#ifndef FP_CLI_MAILIDS_H
#define FP_CLI_MAILIDS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define MAILIDS_MAX        50000000 /* of one file: 800 MB of memory */
#define MAILIDS_LINE_BYTES 65536

struct mailid {
    int64_t job, user;
};
struct mailids {
    struct mailid *ids; /* by job and user, each once; mem_free() */
    size_t n;
    int64_t lines; /* without one of ours, too */
};

/* Job and user of a Message-ID as mails have it, JOB.USER.HASH@HOST, at the beginning
 * of s. Returns its length up to the @, 0 when there is none. */
size_t mailid_parse(const char *s, struct mailid *out);
/* Each line is searched for all that it has; a line may also be JOB.USER alone, where
 * a provider keeps these as tags and has Message-IDs of its own. path "-": stdin. */
int mailids_read(const char *path, struct mailids *out, struct fp_err *err) FP_MUST_CHECK;
/* "OLD=NEW,OLD=NEW": mails of job OLD are taken for those of NEW. */
int mailids_rename(struct mailids *m, const char *pairs, struct fp_err *err) FP_MUST_CHECK;

#endif
