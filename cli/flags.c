/*
 * A setting that an action would ignore is a mistake: `suppressions remove --user 7
 * --reason hard_bounce` must not remove every entry of that user.
 *
 * Whether one was given is told by its value, so a default that is spelled out passes.
 */
#include "cli/flags.h"

#include <string.h>

#include "lib/base/mem.h"

#define VALUE_BYTES 16 /* the largest value of a setting: a pointer, an int64_t, a double */

static bool is_text(const struct config_setting *row)
{
    return row->type == CONFIG_STRING || row->type == CONFIG_CHOICE || row->type == CONFIG_SECRET_FILE;
}

static bool has_default(const struct config_setting *row, const void *values)
{
    _Alignas(16) char room[VALUE_BYTES] = {0};
    const char *value = (const char *)values + row->offset;
    struct config_setting here = *row;
    struct fp_err err;
    bool same;
    if (is_text(row))
        return strcmp(*(char *const *)value, row->def) == 0;
    here.offset = 0;
    if (config_set(&here, room, row->name, row->def, &err) != 0)
        fp_panic("--%s: %s", row->name, err.msg); /* each program has parsed it before */
    if (row->type == CONFIG_BOOL)
        same = *(const bool *)value == *(const bool *)room;
    else
        same = memcmp(value, room, sizeof(int64_t)) == 0;
    return same;
}

int flags_check(const struct config_setting *rows, size_t n, const unsigned *takes, const void *values,
                unsigned action, const char *what, struct fp_err *err)
{
    for (size_t i = 0; i < n; i++)
        if ((takes[i] & action) == 0 && !has_default(&rows[i], values))
            return err_set(err, FP_INVALID_ARGUMENT, "%s does not take --%s: leave it out", what,
                           rows[i].name);
    return 0;
}
