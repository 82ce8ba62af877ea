/*
 * What a scheduler made of a specification, against what was asked for.
 *
 * A scheduler refuses what it does not know. Older ones do not: they leave the field
 * out and submit the job, so that a dry run becomes mails, and a share everybody.
 * Its reply tells: the job's own specification lacks the field. The fields are those of
 * the .proto, so that a new one cannot be forgotten here.
 */
#include "cli/echo.h"

#include <string.h>

static bool is_set(const Foliopost__V1__JobSpec *s, const ProtobufCFieldDescriptor *f)
{
    const char *p = (const char *)s + f->offset;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)((const char *)s + f->quantifier_offset) > 0;
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return *(const char *const *)p != NULL && (*(const char *const *)p)[0] != '\0';
    case PROTOBUF_C_TYPE_DOUBLE:
        return *(const double *)p != 0;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)p != 0;
    case PROTOBUF_C_TYPE_INT64:
        return *(const int64_t *)p != 0;
    default: /* int32 and enums: the rest of what a JobSpec has */
        return *(const int32_t *)p != 0;
    }
}

/* Taken, and said in another way: a deadline is a time in replies, a dry run needs no approval and nobody
 * goes first in it, and a canary's share is a number of users in the job. */
static bool is_elsewhere(const char *field, const Foliopost__V1__JobSpec *got)
{
    if (strcmp(field, "approval_required") == 0 || strncmp(field, "canary_", 7) == 0) {
        if (got->dry_run)
            return true;
    }
    if (strcmp(field, "deadline_after_ms") == 0)
        return got->deadline_us > 0;
    return strcmp(field, "canary_ppm") == 0 && (got->canary_users > 0 || got->canary_wait_ms > 0);
}

void echo_missing(const Foliopost__V1__JobSpec *asked, const Foliopost__V1__Job *got, struct fp_str *out)
{
    static const Foliopost__V1__JobSpec nothing = FOLIOPOST__V1__JOB_SPEC__INIT;
    const Foliopost__V1__JobSpec *spec = got != NULL && got->spec != NULL ? got->spec : &nothing;
    const ProtobufCMessageDescriptor *d = &foliopost__v1__job_spec__descriptor;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        if (is_set(asked, f) && !is_set(spec, f) && !is_elsewhere(f->name, spec))
            str_printf(out, "%s%s", out->len > 0 ? ", " : "", f->name);
    }
}
