/*
 * The names of a statement: what a template can ask for, and where it lies.
 *
 * One table for each kind of object. They answer both questions there are:
 * at start, whether a template asks for something that no statement has; for
 * each mail, what stands under a name.
 */
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "lib/render/statement.h"

enum field_kind { FIELD_CHARS, FIELD_TEXT, FIELD_BOOL, FIELD_LIST };

/* The kinds of lists there are: each has a table of fields and a view below. */
enum list_kind {
    LIST_ROWS,
    LIST_SPANS,
    LIST_COLUMNS,
    LIST_TABLES,
    LIST_MOVERS,
    LIST_ALLOCATIONS,
    LIST_SHARES,
    LIST_REMARKS,
    LIST_KINDS
};

struct field {
    const char *name;
    enum field_kind kind;
    enum list_kind list;
    size_t offset, count_offset;
};

/* clang-format off */
/* NOLINTBEGIN(bugprone-macro-parentheses): `of` is a type */
#define CHARS(of, f)         {#f, FIELD_CHARS, 0, offsetof(of, f), 0}
#define TEXT(of, f)          {#f, FIELD_TEXT, 0, offsetof(of, f), 0}
#define BOOL(of, f)          {#f, FIELD_BOOL, 0, offsetof(of, f), 0}
#define LIST(of, f, kind, n) {#f, FIELD_LIST, kind, offsetof(of, f), offsetof(of, n)}
/* NOLINTEND(bugprone-macro-parentheses) */
/* clang-format on */

/* Each table is in the order of its names: they are found by halving. */
static const struct field root_fields[] = {
    LIST(struct statement, allocations, LIST_ALLOCATIONS, n_allocations),
    CHARS(struct statement, as_of),
    CHARS(struct statement, benchmark_name),
    LIST(struct statement, bridge, LIST_ROWS, n_bridge),
    CHARS(struct statement, chart_bottom),
    CHARS(struct statement, chart_first),
    BOOL(struct statement, chart_from_zero),
    BOOL(struct statement, chart_has_gain),
    BOOL(struct statement, chart_has_loss),
    CHARS(struct statement, chart_last),
    CHARS(struct statement, chart_summary),
    CHARS(struct statement, chart_top),
    CHARS(struct statement, close_value),
    LIST(struct statement, columns, LIST_COLUMNS, n_columns),
    CHARS(struct statement, contributions),
    CHARS(struct statement, currency),
    BOOL(struct statement, custom),
    LIST(struct statement, details, LIST_ROWS, n_details),
    TEXT(struct statement, dir),
    TEXT(struct statement, direction),
    BOOL(struct statement, down),
    CHARS(struct statement, drawdown),
    CHARS(struct statement, drawdown_days),
    CHARS(struct statement, first_name),
    BOOL(struct statement, flat),
    CHARS(struct statement, gain),
    CHARS(struct statement, gain_amount),
    BOOL(struct statement, has_annual),
    BOOL(struct statement, has_benchmark),
    BOOL(struct statement, has_chart),
    BOOL(struct statement, has_details),
    BOOL(struct statement, has_modified_dietz),
    BOOL(struct statement, has_mwr),
    BOOL(struct statement, has_remarks),
    BOOL(struct statement, has_risk),
    BOOL(struct statement, has_shares),
    BOOL(struct statement, has_spans),
    CHARS(struct statement, holdings),
    TEXT(struct statement, lang),
    TEXT(struct statement, left),
    BOOL(struct statement, long_figures),
    BOOL(struct statement, monthly),
    LIST(struct statement, movers, LIST_TABLES, n_movers),
    CHARS(struct statement, name),
    CHARS(struct statement, open_value),
    CHARS(struct statement, period),
    CHARS(struct statement, period_end),
    CHARS(struct statement, period_start),
    CHARS(struct statement, postal_address),
    CHARS(struct statement, prices_as_of),
    LIST(struct statement, remarks, LIST_REMARKS, n_remarks),
    TEXT(struct statement, reply_to),
    TEXT(struct statement, right),
    BOOL(struct statement, right_to_left),
    TEXT(struct statement, risk_span),
    CHARS(struct statement, sender_name),
    CHARS(struct statement, since),
    LIST(struct statement, spans, LIST_SPANS, n_spans),
    TEXT(struct statement, template_name),
    BOOL(struct statement, test),
    CHARS(struct statement, twr),
    BOOL(struct statement, twr_down),
    BOOL(struct statement, twr_up),
    TEXT(struct statement, unsubscribe_url),
    BOOL(struct statement, up),
    CHARS(struct statement, volatility),
    BOOL(struct statement, weekly),
};

static const struct field row_fields[] = {
    CHARS(struct statement_row, amount), BOOL(struct statement_row, down),
    CHARS(struct statement_row, label),  CHARS(struct statement_row, line),
    BOOL(struct statement_row, total),   BOOL(struct statement_row, up),
};

static const struct field span_fields[] = {
    CHARS(struct statement_span, benchmark),
    TEXT(struct statement_span, label),
    CHARS(struct statement_span, mwr),
    CHARS(struct statement_span, mwr_annual),
    BOOL(struct statement_span, mwr_down),
    BOOL(struct statement_span, mwr_up),
    LIST(struct statement_span, rows, LIST_ROWS, n_rows),
    CHARS(struct statement_span, since),
    CHARS(struct statement_span, twr),
    CHARS(struct statement_span, twr_annual),
    BOOL(struct statement_span, twr_down),
    BOOL(struct statement_span, twr_up),
};

static const struct field column_fields[] = {
    BOOL(struct statement_column, above),
    CHARS(struct statement_column, base),
    BOOL(struct statement_column, below),
    CHARS(struct statement_column, step),
};

static const struct field table_fields[] = {
    LIST(struct statement_movers, rows, LIST_MOVERS, n_rows),
    TEXT(struct statement_movers, title),
};

static const struct field mover_fields[] = {
    CHARS(struct statement_mover, bar),   BOOL(struct statement_mover, down),
    CHARS(struct statement_mover, gain),  CHARS(struct statement_mover, line),
    CHARS(struct statement_mover, name),  CHARS(struct statement_mover, rest),
    CHARS(struct statement_mover, share), CHARS(struct statement_mover, symbol),
    BOOL(struct statement_mover, up),
};

static const struct field allocation_fields[] = {
    LIST(struct statement_shares, rows, LIST_SHARES, n_rows),
    TEXT(struct statement_shares, title),
};

static const struct field share_fields[] = {
    CHARS(struct statement_share, amount),  TEXT(struct statement_share, color),
    CHARS(struct statement_share, label),   CHARS(struct statement_share, line),
    BOOL(struct statement_share, negative), CHARS(struct statement_share, percent),
    CHARS(struct statement_share, width),
};

struct fields {
    const struct field *rows;
    size_t n;
};
/* clang-format off */
#define FIELDS(a) {a, sizeof(a) / sizeof(a)[0]}
/* clang-format on */

static const struct fields root_table = FIELDS(root_fields);
static const struct fields list_tables[LIST_KINDS] = {
    [LIST_ROWS] = FIELDS(row_fields),       [LIST_SPANS] = FIELDS(span_fields),
    [LIST_COLUMNS] = FIELDS(column_fields), [LIST_TABLES] = FIELDS(table_fields),
    [LIST_MOVERS] = FIELDS(mover_fields),   [LIST_ALLOCATIONS] = FIELDS(allocation_fields),
    [LIST_SHARES] = FIELDS(share_fields),   [LIST_REMARKS] = {NULL, 0}, /* nothing but {{.}} */
};

static const struct field *find_field(const struct fields *f, const char *name)
{
    size_t from = 0, to = f->n;
    while (from < to) {
        size_t at = from + (to - from) / 2;
        int order = strcmp(name, f->rows[at].name);
        if (order == 0)
            return &f->rows[at];
        if (order < 0)
            to = at;
        else
            from = at + 1;
    }
    return NULL;
}

/* --- numbers ----------------------------------------------------------------------- */

/* Each name once, and the field it means in each kind of object: a template
 * asks some thousand times for a mail, and comparing names took a sixth of it. */
#define MAX_NAMES 160

static const char *names[MAX_NAMES + 1]; /* by number, from 1 */
static const struct field *numbered[MAX_NAMES + 1][LIST_KINDS + 1];
static unsigned n_names;

static unsigned number_of(const char *name)
{
    for (unsigned i = 1; i <= n_names; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return 0;
}

static void number_fields(const struct fields *f, int kind)
{
    for (size_t i = 0; i < f->n; i++) {
        unsigned number = number_of(f->rows[i].name);
        if (number == 0) {
            if (n_names == MAX_NAMES)
                fp_panic("a statement has more than %d names", MAX_NAMES);
            names[number = ++n_names] = f->rows[i].name;
        }
        numbered[number][kind] = &f->rows[i];
    }
}

static void number_all(void)
{
    for (int kind = 0; kind < LIST_KINDS; kind++)
        number_fields(&list_tables[kind], kind);
    number_fields(&root_table, LIST_KINDS);
}

unsigned statement_number(const char *name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, number_all);
    return number_of(name);
}

/* --- what a template may ask for ---------------------------------------------------- */

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
        if (f && f->kind == FIELD_LIST)
            open[n++] = &list_tables[f->list];
    }
    for (int k = n - 1; k >= 0; k--)
        if (find_field(open[k], use->name))
            return true;
    return false;
}

/* Members lie in the order of parts (statement.h). */
static unsigned part_of(size_t offset)
{
    static const struct {
        size_t from;
        unsigned part;
    } parts[] = {
        {offsetof(struct statement, has_remarks), STATEMENT_REMARKS},
        {offsetof(struct statement, allocations), STATEMENT_ALLOCATIONS},
        {offsetof(struct statement, has_shares), STATEMENT_MOVERS},
        {offsetof(struct statement, has_chart), STATEMENT_CHART},
        {offsetof(struct statement, spans), STATEMENT_SPANS},
        {offsetof(struct statement, has_details), STATEMENT_BRIDGE},
    };
    if (offset == offsetof(struct statement, long_figures)) /* of all tables */
        return STATEMENT_FIGURES;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (offset >= parts[i].from)
            return parts[i].part;
    return 0;
}

static unsigned parts_of_name(const char *name)
{
    const struct field *f = find_field(&root_table, name);
    return f ? part_of(f->offset) : 0;
}

/* More than needed where a list's item has the same name: that costs time only. */
unsigned statement_parts(const struct mustache_use *use)
{
    unsigned parts = parts_of_name(use->name);
    for (int i = 0; i < use->depth; i++)
        parts |= parts_of_name(use->inside[i]);
    return parts;
}

/* --- the view -------------------------------------------------------------------- */

static const struct mustache_view list_views[LIST_KINDS];

static bool get_field(const struct field *f, const void *object, struct mustache_value *out)
{
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
                                       .view = &list_views[f->list],
                                       .count = *(const size_t *)(const void *)((const char *)object +
                                                                                f->count_offset)};
    }
    return true;
}

static bool root_get(const void *object, const char *name, struct mustache_value *out)
{
    return get_field(find_field(&root_table, name), object, out);
}

static bool root_numbered(const void *object, unsigned number, struct mustache_value *out)
{
    return get_field(numbered[number][LIST_KINDS], object, out);
}

/* clang-format off */
/* Of each kind of list: the member of an item, and an item. */
#define LIST_VIEW(name, which, type)                                                                          \
    static bool name##_get(const void *object, const char *field, struct mustache_value *out)                \
    {                                                                                                        \
        return get_field(find_field(&list_tables[which], field), object, out);                                \
    }                                                                                                        \
    static bool name##_numbered(const void *object, unsigned number, struct mustache_value *out)             \
    {                                                                                                        \
        return get_field(numbered[number][which], object, out);                                               \
    }                                                                                                        \
    static void name##_item(const void *list, size_t i, struct mustache_value *out)                          \
    {                                                                                                        \
        *out = (struct mustache_value){.kind = MUSTACHE_OBJECT,                                              \
                                       .ptr = (const type *)list + i,                                        \
                                       .view = &list_views[which]};                                           \
    }
/* clang-format on */

LIST_VIEW(row, LIST_ROWS, struct statement_row)
LIST_VIEW(span, LIST_SPANS, struct statement_span)
LIST_VIEW(column, LIST_COLUMNS, struct statement_column)
LIST_VIEW(table, LIST_TABLES, struct statement_movers)
LIST_VIEW(mover, LIST_MOVERS, struct statement_mover)
LIST_VIEW(allocation, LIST_ALLOCATIONS, struct statement_shares)
LIST_VIEW(share, LIST_SHARES, struct statement_share)

static void remark_item(const void *list, size_t i, struct mustache_value *out)
{
    *out =
        (struct mustache_value){.kind = MUSTACHE_TEXT,
                                .text = (const char *)list + i * sizeof(((struct statement *)0)->remarks[0])};
}

static const struct mustache_view root_view = {root_get, NULL, root_numbered};
static const struct mustache_view list_views[LIST_KINDS] = {
    [LIST_ROWS] = {row_get, row_item, row_numbered},
    [LIST_SPANS] = {span_get, span_item, span_numbered},
    [LIST_COLUMNS] = {column_get, column_item, column_numbered},
    [LIST_TABLES] = {table_get, table_item, table_numbered},
    [LIST_MOVERS] = {mover_get, mover_item, mover_numbered},
    [LIST_ALLOCATIONS] = {allocation_get, allocation_item, allocation_numbered},
    [LIST_SHARES] = {share_get, share_item, share_numbered},
    [LIST_REMARKS] = {NULL, remark_item, NULL},
};

void statement_root(const struct statement *s, struct mustache_value *out)
{
    *out = (struct mustache_value){.kind = MUSTACHE_OBJECT, .ptr = s, .view = &root_view};
}
