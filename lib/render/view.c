/*
 * The names of a statement: what a template can ask for, and where it lies.
 *
 * One table for each kind of object. They answer both questions there are:
 * at start, whether a template asks for something that no statement has; for
 * each mail, what stands under a name.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/render/statement.h"

enum field_kind {
    FIELD_CHARS,
    FIELD_TEXT,
    FIELD_BOOL,
    FIELD_ROWS,
    FIELD_TABLES,
    FIELD_MOVERS,
    FIELD_REMARKS
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, count_offset;
};

/* clang-format off */
/* NOLINTBEGIN(bugprone-macro-parentheses): `of` is a type */
#define CHARS(of, f)         {#f, FIELD_CHARS, offsetof(of, f), 0}
#define TEXT(of, f)          {#f, FIELD_TEXT, offsetof(of, f), 0}
#define BOOL(of, f)          {#f, FIELD_BOOL, offsetof(of, f), 0}
#define LIST(of, f, kind, n) {#f, kind, offsetof(of, f), offsetof(of, n)}
/* NOLINTEND(bugprone-macro-parentheses) */
/* clang-format on */

/* Each table is in the order of its names: they are found by halving. */
static const struct field root_fields[] = {
    CHARS(struct statement, as_of),
    LIST(struct statement, bridge, FIELD_ROWS, n_bridge),
    CHARS(struct statement, close_value),
    CHARS(struct statement, contributions),
    CHARS(struct statement, currency),
    LIST(struct statement, details, FIELD_ROWS, n_details),
    TEXT(struct statement, direction),
    BOOL(struct statement, down),
    CHARS(struct statement, first_name),
    BOOL(struct statement, flat),
    CHARS(struct statement, gain),
    CHARS(struct statement, gain_amount),
    BOOL(struct statement, has_details),
    BOOL(struct statement, has_remarks),
    BOOL(struct statement, has_shares),
    CHARS(struct statement, holdings),
    TEXT(struct statement, kind),
    LIST(struct statement, movers, FIELD_TABLES, n_movers),
    CHARS(struct statement, name),
    CHARS(struct statement, open_value),
    CHARS(struct statement, period),
    CHARS(struct statement, period_end),
    CHARS(struct statement, period_start),
    CHARS(struct statement, postal_address),
    CHARS(struct statement, prices_as_of),
    LIST(struct statement, remarks, FIELD_REMARKS, n_remarks),
    TEXT(struct statement, reply_to),
    CHARS(struct statement, sender_name),
    CHARS(struct statement, since),
    CHARS(struct statement, twr),
    BOOL(struct statement, twr_down),
    BOOL(struct statement, twr_up),
    BOOL(struct statement, up),
};

static const struct field row_fields[] = {
    CHARS(struct statement_row, amount), BOOL(struct statement_row, down),
    CHARS(struct statement_row, label),  CHARS(struct statement_row, line),
    BOOL(struct statement_row, total),   BOOL(struct statement_row, up),
};

static const struct field table_fields[] = {
    LIST(struct statement_table, rows, FIELD_MOVERS, n_rows),
    TEXT(struct statement_table, title),
};

static const struct field mover_fields[] = {
    CHARS(struct statement_mover, bar),   BOOL(struct statement_mover, down),
    CHARS(struct statement_mover, gain),  CHARS(struct statement_mover, line),
    CHARS(struct statement_mover, name),  CHARS(struct statement_mover, rest),
    CHARS(struct statement_mover, share), CHARS(struct statement_mover, symbol),
    BOOL(struct statement_mover, up),
};

struct fields {
    const struct field *rows;
    size_t n;
};
/* clang-format off */
#define FIELDS(a) {a, sizeof(a) / sizeof(a)[0]}
/* clang-format on */

static const struct fields root_table = FIELDS(root_fields), row_table = FIELDS(row_fields),
                           table_table = FIELDS(table_fields), mover_table = FIELDS(mover_fields);

static int by_name(const void *name, const void *field)
{
    return strcmp(name, ((const struct field *)field)->name);
}

static const struct field *find_field(const struct fields *f, const char *name)
{
    return bsearch(name, f->rows, f->n, sizeof f->rows[0], by_name);
}

/* What the items of a list offer; NULL: nothing but {{.}}. */
static const struct fields *fields_of_items(enum field_kind kind)
{
    switch (kind) {
    case FIELD_ROWS:
        return &row_table;
    case FIELD_TABLES:
        return &table_table;
    case FIELD_MOVERS:
        return &mover_table;
    default:
        return NULL;
    }
}

/* Names are looked for from the innermost section outwards, as they will be
 * when the template is rendered. */
bool statement_offers(const struct mustache_use *use)
{
    const struct fields *open[MUSTACHE_MAX_DEPTH + 1] = {&root_table};
    int n = 1;
    for (int i = 0; i < use->depth; i++) {
        const struct field *f = NULL;
        for (int k = n - 1; k >= 0 && !f; k--)
            f = find_field(open[k], use->inside[i]);
        const struct fields *items = f ? fields_of_items(f->kind) : NULL;
        if (items)
            open[n++] = items;
    }
    for (int k = n - 1; k >= 0; k--)
        if (find_field(open[k], use->name))
            return true;
    return false;
}

/* --- the view -------------------------------------------------------------------- */

static const struct mustache_view root_view, rows_view, tables_view, movers_view, remarks_view;

static const struct mustache_view *view_of(enum field_kind kind)
{
    switch (kind) {
    case FIELD_ROWS:
        return &rows_view;
    case FIELD_TABLES:
        return &tables_view;
    case FIELD_MOVERS:
        return &movers_view;
    default:
        return &remarks_view;
    }
}

static bool get_from(const struct fields *table, const void *object, const char *name,
                     struct mustache_value *out)
{
    const struct field *f = find_field(table, name);
    if (!f)
        return false;
    const char *at = (const char *)object + f->offset;
    switch (f->kind) {
    case FIELD_CHARS:
        *out = (struct mustache_value){.kind = MUSTACHE_TEXT, .text = at};
        break;
    case FIELD_TEXT:
        *out = (struct mustache_value){.kind = MUSTACHE_TEXT, .text = *(const char *const *)(const void *)at};
        break;
    case FIELD_BOOL:
        *out = (struct mustache_value){.kind = *(const bool *)at ? MUSTACHE_TRUE : MUSTACHE_FALSE};
        break;
    default:
        *out = (struct mustache_value){.kind = MUSTACHE_LIST,
                                       .ptr = at,
                                       .view = view_of(f->kind),
                                       .count = *(const size_t *)(const void *)((const char *)object +
                                                                                f->count_offset)};
    }
    return true;
}

static bool root_get(const void *object, const char *name, struct mustache_value *out)
{
    return get_from(&root_table, object, name, out);
}

static bool row_get(const void *object, const char *name, struct mustache_value *out)
{
    return get_from(&row_table, object, name, out);
}

static bool table_get(const void *object, const char *name, struct mustache_value *out)
{
    return get_from(&table_table, object, name, out);
}

static bool mover_get(const void *object, const char *name, struct mustache_value *out)
{
    return get_from(&mover_table, object, name, out);
}

static void row_item(const void *list, size_t i, struct mustache_value *out)
{
    *out = (struct mustache_value){.kind = MUSTACHE_OBJECT,
                                   .ptr = (const struct statement_row *)list + i,
                                   .view = &rows_view};
}

static void table_item(const void *list, size_t i, struct mustache_value *out)
{
    *out = (struct mustache_value){.kind = MUSTACHE_OBJECT,
                                   .ptr = (const struct statement_table *)list + i,
                                   .view = &tables_view};
}

static void mover_item(const void *list, size_t i, struct mustache_value *out)
{
    *out = (struct mustache_value){.kind = MUSTACHE_OBJECT,
                                   .ptr = (const struct statement_mover *)list + i,
                                   .view = &movers_view};
}

static void remark_item(const void *list, size_t i, struct mustache_value *out)
{
    *out = (struct mustache_value){.kind = MUSTACHE_TEXT, .text = ((const char *const *)list)[i]};
}

static const struct mustache_view root_view = {root_get, NULL};
static const struct mustache_view rows_view = {row_get, row_item};
static const struct mustache_view tables_view = {table_get, table_item};
static const struct mustache_view movers_view = {mover_get, mover_item};
static const struct mustache_view remarks_view = {NULL, remark_item};

void statement_root(const struct statement *s, struct mustache_value *out)
{
    *out = (struct mustache_value){.kind = MUSTACHE_OBJECT, .ptr = s, .view = &root_view};
}
