/*
 * foliopost suppressions: who is not to be mailed any more.
 *
 * One table of columns is the heading of export, what import understands, and
 * how each text becomes a field of the message. A file is checked as a whole
 * before its first line is sent: a mistake in line 90,000 imports nothing, and
 * importing the same file twice changes nothing.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/csv.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "lib/address/address.h"
#include "lib/base/clock.h"
#include "lib/base/text.h"

#define PAGE_ALL   1000 /* the most the scheduler gives, and takes, at once */
#define MAX_ERRORS 20   /* shown of one file */

typedef Foliopost__V1__Suppression entry;

struct values {
    int64_t user, limit, after;
    char *address, *kind, *reason, *evidence, *expires;
    bool all, expired;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"user", CONFIG_INT, NULL, "0", 0, 9.3e18, NULL, "add, remove, list, export: the user's id", AT(user)},
    {"address", CONFIG_STRING, NULL, "", 0, 254, NULL,
     "add, remove, list, export: the mail address; it is hashed, and kept nowhere", AT(address)},
    {"kind", CONFIG_CHOICE, NULL, "all", 0, 0, "all|weekly|monthly|custom",
     "add: from which mail; remove: only entries for this kind (all: every entry)", AT(kind)},
    {"reason", CONFIG_CHOICE, NULL, "any", 0, 0, "any|hard_bounce|manual|unsubscribe|complaint",
     "add: why (any: manual); list and export: only these", AT(reason)},
    {"evidence", CONFIG_STRING, NULL, "", 0, 255, NULL, "add: what was said, without addresses",
     AT(evidence)},
    {"expires", CONFIG_STRING, NULL, "", 0, 32, NULL, "add: until when, YYYY-MM-DD; empty: for ever",
     AT(expires)},
    {"limit", CONFIG_INT, "entries", "100", 1, 1000, NULL, "list: at most so many", AT(limit)},
    {"after", CONFIG_INT, NULL, "0", 0, 9e15, NULL, "list and export: only entries with a higher id",
     AT(after)},
    {"all", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "list: every page; with --json a line for each", AT(all)},
    {"expired", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "list and export: expired ones too", AT(expired)},
};

/* What each takes; bits of the actions below. */
enum { ADD = 1, REMOVE = 2, LIST = 4, IMPORT = 8, EXPORT = 16 };
static const unsigned takes[] = {
    ADD | REMOVE | LIST | EXPORT, /* user */
    ADD | REMOVE | LIST | EXPORT, /* address */
    ADD | REMOVE,                 /* kind */
    ADD | LIST | EXPORT,          /* reason */
    ADD,                          /* evidence */
    ADD,                          /* expires */
    LIST,                         /* limit */
    LIST | EXPORT,                /* after */
    LIST,                         /* all */
    LIST | EXPORT,                /* expired */
};
_Static_assert(sizeof takes / sizeof takes[0] == sizeof rows / sizeof rows[0], "one for each setting");

/* --- texts of a file, and fields -------------------------------------------------------- */

/* A day (its first moment, UTC), or what export writes. */
static const char *parse_time(const char *text, int64_t *us)
{
    char day_text[11];
    int32_t day;
    int h = 0, m = 0, s = 0, used = 0;
    snprintf(day_text, sizeof day_text, "%s", text);
    if (!day_parse(day_text, &day))
        return "is not YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ";
    if (text[10] != '\0' && (sscanf(text + 10, "T%2d:%2d:%2d%*[.0-9]Z%n", &h, &m, &s, &used) != 3 &&
                             sscanf(text + 10, "T%2d:%2d:%2dZ%n", &h, &m, &s, &used) != 3))
        return "is not YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ";
    if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60)
        return "is not a time of day";
    *us = day * FP_US_PER_DAY + ((h * 60 + m) * 60 + s) * FP_US_PER_S;
    return *us > 0 ? NULL : "is before 1970";
}

static const char *parse_id(const char *text, int64_t *id)
{
    return text_parse_i64(text, id) && *id > 0 ? NULL : "is not an id, a number above 0";
}

static const char *set_user(entry *e, char *text)
{
    return parse_id(text, &e->user_id);
}
static const char *set_address(entry *e, char *text)
{
    e->address = text;
    char ascii[ADDRESS_BYTES];
    return address_to_ascii(text, ascii) == ADDRESS_USABLE ? NULL : "is not a mail address";
}
static const char *set_hash(entry *e, char *text)
{
    e->address_hash = text;
    return text_is_uuid(text) ? NULL : "is not a hash as export writes it";
}
static const char *set_kind(entry *e, char *text)
{
    int v = strcmp(text, "all") == 0 ? 0 : wire_enum_value(&foliopost__v1__job_kind__descriptor, text);
    e->kind = (Foliopost__V1__JobKind)v;
    return v >= 0 ? NULL : "is not all, weekly, monthly or custom";
}
static const char *set_reason(entry *e, char *text)
{
    int v = wire_enum_value(&foliopost__v1__suppression_reason__descriptor, text);
    e->reason = (Foliopost__V1__SuppressionReason)v;
    return v > 0 ? NULL : "is not hard_bounce, manual, unsubscribe or complaint";
}
static const char *set_source(entry *e, char *text)
{
    e->source = text;
    return strlen(text) < 32 && text_is_clean(text) ? NULL : "is longer than 31 bytes, or not clean text";
}
static const char *set_evidence(entry *e, char *text)
{
    e->evidence = text[0] == '\'' ? text + 1 : text; /* as export guards against formulas */
    if (strchr(text, '@'))
        return "holds an @; no addresses are kept there";
    return strlen(text) < 256 && text_is_clean(text) ? NULL : "is longer than 255 bytes, or not clean text";
}
static const char *set_job(entry *e, char *text)
{
    return parse_id(text, &e->job_id);
}
static const char *set_seen(entry *e, char *text)
{
    return parse_time(text, &e->first_seen_us);
}
static const char *set_expires(entry *e, char *text)
{
    return parse_time(text, &e->expires_us);
}

static const struct column {
    const char *name;
    const char *(*set)(entry *e, char *text); /* NULL, or what is wrong; text lives as long as e */
} columns[] = {
    {"user_id", set_user},    {"address", set_address}, {"address_hash", set_hash}, {"kind", set_kind},
    {"reason", set_reason},   {"source", set_source},   {"evidence", set_evidence}, {"job_id", set_job},
    {"first_seen", set_seen}, {"expires", set_expires},
};
#define N_COLUMNS ((int)(sizeof columns / sizeof columns[0]))

/* --- add, remove --------------------------------------------------------------------------- */

static enum cli_exit fail_with(const char *where, const char *what, const char *why)
{
    struct fp_err err;
    (void)err_set(&err, FP_INVALID_ARGUMENT, "%s%s %s", where, what, why);
    return cli_fail(&err);
}

static const Foliopost__V1__SuppressResponse *send_entries(struct cli *c, entry **entries, size_t n,
                                                           struct fp_err *err)
{
    Foliopost__V1__SuppressRequest q = FOLIOPOST__V1__SUPPRESS_REQUEST__INIT;
    q.suppressions = entries;
    q.n_suppressions = n;
    return cli_call(c, "Suppress", &q.base, &foliopost__v1__suppress_response__descriptor, err);
}

static enum cli_exit add(struct cli *c, struct values *v, const char *file)
{
    entry e = FOLIOPOST__V1__SUPPRESSION__INIT, *list[] = {&e};
    struct fp_err err;
    const char *wrong = NULL;
    (void)file;
    e.user_id = v->user;
    e.address = v->address;
    e.evidence = v->evidence;
    e.source = (char *)"cli";
    (void)set_kind(&e, v->kind);
    if (strcmp(v->reason, "any") != 0)
        (void)set_reason(&e, v->reason);
    if (v->expires[0] != '\0' && (wrong = parse_time(v->expires, &e.expires_us)) != NULL)
        return fail_with("", "--expires", wrong);
    const Foliopost__V1__SuppressResponse *r = send_entries(c, list, 1, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        printf("%s\n",
               r->added > 0 ? "added" : "was there already; the stronger reason and the later expiry hold");
    return CLI_OK;
}

static enum cli_exit take_away(struct cli *c, struct values *v, const char *file)
{
    Foliopost__V1__UnsuppressRequest q = FOLIOPOST__V1__UNSUPPRESS_REQUEST__INIT;
    struct fp_err err;
    (void)file;
    q.user_id = v->user;
    q.address = v->address;
    int kind = wire_enum_value(&foliopost__v1__job_kind__descriptor, v->kind);
    q.kind = kind > 0 ? kind : 0;
    const Foliopost__V1__UnsuppressResponse *r =
        cli_call(c, "Unsuppress", &q.base, &foliopost__v1__unsuppress_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        printf("removed %" PRId64 " %s\n", r->removed, r->removed == 1 ? "entry" : "entries");
    return CLI_OK;
}

/* --- list, export ------------------------------------------------------------------------------ */

static const char *kind_text(const entry *e)
{
    return e->kind ? wire_enum_name(&foliopost__v1__job_kind__descriptor, (int)e->kind) : "all";
}

static const char *reason_text(const entry *e)
{
    return wire_enum_name(&foliopost__v1__suppression_reason__descriptor, (int)e->reason);
}

static void print_entry(const entry *e)
{
    char seen[FORMAT_CAP], until[FORMAT_CAP];
    format_time(e->first_seen_us, seen);
    if (e->expires_us != 0)
        format_time(e->expires_us, until);
    else
        snprintf(until, sizeof until, "never");
    printf("%8" PRId64 "  %12" PRId64 "  %-8s  %-7s  %-11s  %-10s  %-19s  %-19s  %s\n", e->id, e->user_id,
           e->address_hash[0] ? "yes" : "no", kind_text(e), reason_text(e), e->source, seen, until,
           e->evidence);
}

static void print_number(int64_t v, int first)
{
    char text[24] = "";
    if (v != 0)
        snprintf(text, sizeof text, "%" PRId64, v);
    csv_write(stdout, text, first);
}

static void print_time(int64_t us)
{
    char text[32] = "";
    if (us != 0)
        time_format_rfc3339(us, text);
    csv_write(stdout, text, 0);
}

/* In the order of `columns`. The ledger knows no address to write. */
static void print_csv(const entry *e)
{
    print_number(e->user_id, 1);
    csv_write(stdout, "", 0);
    csv_write(stdout, e->address_hash, 0);
    csv_write(stdout, kind_text(e), 0);
    csv_write(stdout, reason_text(e), 0);
    csv_write(stdout, e->source, 0);
    csv_write(stdout, e->evidence, 0);
    print_number(e->job_id, 0);
    print_time(e->first_seen_us);
    print_time(e->expires_us);
    putchar('\n');
}

enum form { FORM_TABLE, FORM_JSON, FORM_LINES, FORM_CSV };

static void print_heading(enum form form)
{
    if (form == FORM_TABLE)
        printf("%8s  %12s  %-8s  %-7s  %-11s  %-10s  %-19s  %-19s  %s\n", "ID", "USER", "ADDRESS", "KIND",
               "REASON", "SOURCE", "FIRST SEEN", "EXPIRES", "EVIDENCE");
    for (int i = 0; form == FORM_CSV && i < N_COLUMNS; i++)
        printf("%s%s", columns[i].name, i + 1 < N_COLUMNS ? "," : "\n");
}

static void print_page(const Foliopost__V1__ListSuppressionsResponse *r, enum form form)
{
    if (form == FORM_JSON)
        cli_print_json(&r->base, false);
    for (size_t i = 0; i < r->n_suppressions && form != FORM_JSON; i++)
        if (form == FORM_LINES)
            cli_print_json(&r->suppressions[i]->base, true);
        else if (form == FORM_CSV)
            print_csv(r->suppressions[i]);
        else
            print_entry(r->suppressions[i]);
}

static enum cli_exit show(struct cli *c, const struct values *v, enum form form, bool all)
{
    Foliopost__V1__ListSuppressionsRequest q = FOLIOPOST__V1__LIST_SUPPRESSIONS_REQUEST__INIT;
    struct fp_err err;
    int reason = wire_enum_value(&foliopost__v1__suppression_reason__descriptor, v->reason);
    q.user_id = v->user;
    q.address = v->address;
    q.reason = reason > 0 ? reason : 0;
    q.expired_too = v->expired;
    q.page_size = all ? PAGE_ALL : (int32_t)v->limit;
    q.after_id = v->after;
    for (bool first = true;; first = false) {
        const Foliopost__V1__ListSuppressionsResponse *r =
            cli_call(c, "ListSuppressions", &q.base, &foliopost__v1__list_suppressions_response__descriptor,
                     &err);
        if (r == NULL)
            return cli_fail(&err);
        if (first)
            print_heading(form);
        print_page(r, form);
        if (r->next_after_id <= q.after_id || ferror(stdout)) /* ids only grow, whatever a server says */
            return CLI_OK;
        q.after_id = r->next_after_id;
        if (!all)
            break;
    }
    fflush(stdout);
    if (form == FORM_TABLE)
        fprintf(stderr, "more: --after %" PRId64 ", or --all\n", q.after_id);
    return CLI_OK;
}

static enum cli_exit list(struct cli *c, struct values *v, const char *file)
{
    (void)file;
    return show(c, v, !cli_json(c) ? FORM_TABLE : v->all ? FORM_LINES : FORM_JSON, v->all);
}

static enum cli_exit export_all(struct cli *c, struct values *v, const char *file)
{
    (void)file;
    return show(c, v, cli_json(c) ? FORM_LINES : FORM_CSV, true);
}

/* --- import --------------------------------------------------------------------------------------- */

struct import {
    struct csv csv;
    const struct column *order[CSV_MAX_FIELDS]; /* of the file's fields */
    int n_fields;
    int errors;
};

static void complain(struct import *in, const char *field, const char *why)
{
    if (++in->errors <= MAX_ERRORS)
        fprintf(stderr, "foliopost: line %ld: %s%s%s\n", in->csv.line, field, field[0] ? " " : "", why);
    if (in->errors == MAX_ERRORS + 1)
        fprintf(stderr, "foliopost: ... and more\n");
}

static const struct column *column_of(const char *name)
{
    for (int i = 0; i < N_COLUMNS; i++)
        if (strcmp(columns[i].name, name) == 0)
            return &columns[i];
    return NULL;
}

static bool read_heading(struct import *in)
{
    const char *why;
    int rc = csv_read(&in->csv, &why);
    bool subject = false;
    if (rc <= 0) {
        complain(in, "", rc < 0 ? why : "is missing: the file is empty");
        return false;
    }
    in->n_fields = in->csv.n;
    for (int i = 0; i < in->n_fields; i++) {
        char shown[64];
        text_clean(shown, sizeof shown, in->csv.fields[i]);
        in->order[i] = column_of(in->csv.fields[i]);
        if (in->order[i] == NULL)
            complain(in, shown,
                     "is no column: user_id, address, address_hash, kind, reason, source, evidence, "
                     "job_id, first_seen, expires are");
        else
            subject |= in->order[i] < &columns[3];
    }
    if (!subject && in->errors == 0)
        complain(in, "", "names none of user_id, address, address_hash");
    return in->errors == 0;
}

/* The entry of the line just read; its texts are the line's. False: complained about. */
static bool read_entry(struct import *in, entry *e)
{
    int before = in->errors;
    foliopost__v1__suppression__init(e);
    e->source = (char *)"import";
    if (in->csv.n != in->n_fields) {
        complain(in, "", "has not as many fields as the heading");
        return false;
    }
    for (int i = 0; i < in->n_fields; i++) {
        char *text = in->csv.fields[i];
        const char *wrong = text[0] == '\0' ? NULL : in->order[i]->set(e, text);
        if (wrong)
            complain(in, in->order[i]->name, wrong);
    }
    if (e->user_id == 0 && e->address[0] == '\0' && e->address_hash[0] == '\0')
        complain(in, "", "names neither a user nor an address");
    if (e->address[0] != '\0' && e->address_hash[0] != '\0')
        complain(in, "", "names an address and a hash");
    return in->errors == before;
}

/* A full page, or the rest of the file; the texts are copied until they are sent. */
struct page {
    entry entries[PAGE_ALL], *list[PAGE_ALL];
    size_t n;
    struct fp_arena *texts;
    int64_t added, known;
};

static void keep(struct page *p, const entry *e)
{
    entry *to = &p->entries[p->n];
    *to = *e;
    to->address = arena_strdup(p->texts, e->address);
    to->address_hash = arena_strdup(p->texts, e->address_hash);
    to->source = arena_strdup(p->texts, e->source);
    to->evidence = arena_strdup(p->texts, e->evidence);
    p->list[p->n++] = to;
}

static int send_page(struct cli *c, struct page *p, struct fp_err *err)
{
    if (p->n == 0)
        return 0;
    const Foliopost__V1__SuppressResponse *r = send_entries(c, p->list, p->n, err);
    if (r == NULL)
        return -1;
    p->added += r->added;
    p->known += r->known;
    p->n = 0;
    arena_reset(p->texts);
    return 0;
}

/* Reads the file from its heading on; sends it when p is not NULL. -1 when sending failed. */
static int pass(struct cli *c, struct import *in, struct page *p, struct fp_err *err)
{
    entry e;
    const char *why;
    int rc;
    rewind(in->csv.file);
    in->csv.line = 0;
    if (!read_heading(in))
        return 0;
    while ((rc = csv_read(&in->csv, &why)) != 0) {
        if (rc < 0)
            complain(in, "", why);
        else if (read_entry(in, &e) && p != NULL)
            keep(p, &e);
        if (p != NULL && p->n == PAGE_ALL && send_page(c, p, err) != 0)
            return -1;
    }
    return p != NULL ? send_page(c, p, err) : 0;
}

/* What comes through a pipe is read twice too. */
static FILE *open_file(const char *path)
{
    char buf[65536];
    size_t n;
    if (strcmp(path, "-") != 0)
        return fopen(path, "r");
    FILE *copy = tmpfile();
    while (copy != NULL && (n = fread(buf, 1, sizeof buf, stdin)) > 0)
        fwrite(buf, 1, n, copy);
    return copy;
}

static enum cli_exit import_sent(struct cli *c, const struct page *p)
{
    Foliopost__V1__SuppressResponse sum = FOLIOPOST__V1__SUPPRESS_RESPONSE__INIT;
    sum.added = p->added;
    sum.known = p->known;
    if (cli_json(c))
        cli_print_json(&sum.base, false);
    else
        printf("added %" PRId64 ", known already %" PRId64 "\n", p->added, p->known);
    return CLI_OK;
}

static enum cli_exit import(struct cli *c, struct values *v, const char *file)
{
    struct import *in = mem_alloc(sizeof *in);
    struct page *p = mem_alloc(sizeof *p);
    struct fp_err err;
    enum cli_exit code = CLI_USAGE;
    (void)v;
    p->texts = arena_new((size_t)PAGE_ALL * CSV_LINE_BYTES);
    in->csv.file = open_file(file);
    if (in->csv.file == NULL) {
        code = fail_with("", file, "cannot be opened");
    } else if (pass(c, in, NULL, &err) == 0 && in->errors > 0) {
        fprintf(stderr, "foliopost: nothing was imported: mend the lines above first\n");
    } else if (pass(c, in, p, &err) != 0) {
        (void)err_prefix(&err, "after %" PRId64 " entries (run it again, that is safe)", p->added + p->known);
        code = cli_fail(&err);
    } else {
        code = import_sent(c, p);
    }
    if (in->csv.file != NULL)
        fclose(in->csv.file);
    arena_free(p->texts);
    mem_free(p);
    mem_free(in);
    return code;
}

/* --- the command ------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned bit;
    bool file;
    enum cli_exit (*run)(struct cli *c, struct values *v, const char *file);
} actions[] = {
    {"add", ADD, false, add},         {"remove", REMOVE, false, take_away},  {"list", LIST, false, list},
    {"import", IMPORT, true, import}, {"export", EXPORT, false, export_all},
};

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].name, args[0]) != 0)
            continue;
        if (actions[i].file != (n_args == 2))
            return fail_with("suppressions ", args[0],
                             actions[i].file ? "wants a file; - is the standard input" : "wants no file");
        struct fp_err err;
        char what[40];
        snprintf(what, sizeof what, "suppressions %s", args[0]);
        if (flags_check(rows, sizeof rows / sizeof rows[0], takes, values, actions[i].bit, what, &err) != 0)
            return cli_fail(&err);
        return actions[i].run(c, values, args[n_args - 1]);
    }
    return fail_with("suppressions: it is add, remove, list, import or export,", "", "as the first word");
}

const struct cli_command cli_suppressions = {
    .name = "suppressions",
    .arguments = "add|remove|list|import|export [FILE]",
    .summary = "Adds, removes, lists, imports and exports who is not mailed",
    .details = "  foliopost suppressions add --user 4711 --reason complaint --evidence 'letter of May 3'\n"
               "  foliopost suppressions add --address ann@example.org --kind weekly --expires 2027-01-01\n"
               "  foliopost suppressions remove --user 4711\n"
               "  foliopost suppressions list --reason hard_bounce\n"
               "  foliopost suppressions export >backup.csv\n"
               "  foliopost suppressions import backup.csv      (- for the standard input)\n"
               "A file's first line names its columns, in any order: user_id, address, address_hash,\n"
               "kind, reason, source, evidence, job_id, first_seen, expires. Addresses are hashed and\n"
               "kept nowhere, so export has hashes; they mean something in the same ledger only.\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
