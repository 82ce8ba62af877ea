/*
 * foliopost identities: who may call the scheduler, and as what.
 *
 * A token is made here and only its hash goes out; the token itself is printed
 * once, or written to a file that nobody else can read. An identity that was
 * refused leaves no file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "lib/base/clock.h"
#include "lib/ledger/identities.h"

#define TOKEN_BYTES 32
#define TOKEN_CAP   (3 + 2 * TOKEN_BYTES + 1) /* "fp_" and hexadecimal */
#define MAX_ROLES   4

struct values {
    char *roles, *expires, *subject, *out;
    bool all;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"roles", CONFIG_STRING, NULL, "", 0, 64, NULL,
     "add: viewer, operator, approver, admin; several by commas", AT(roles)},
    {"expires", CONFIG_STRING, NULL, "any", 1, 10, NULL, "add: until when, YYYY-MM-DD (UTC); any: for ever",
     AT(expires)},
    {"subject", CONFIG_STRING, NULL, "", 0, 255, NULL,
     "add: by a client certificate with this subject instead of a token, as CN=reports,O=Example",
     AT(subject)},
    {"out", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "add: a new file for the token, for --token-file; empty: it is printed", AT(out)},
    {"all", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "list: revoked ones too", AT(all)},
};

enum { ADD = 1, REVOKE = 2, LIST = 4 };
static const unsigned takes[] = {ADD, ADD, ADD, ADD, LIST}; /* in the order of the rows */
_Static_assert(sizeof takes / sizeof takes[0] == sizeof rows / sizeof rows[0], "one for each setting");

static enum cli_exit usage(const char *text)
{
    struct fp_err err;
    (void)err_set(&err, FP_INVALID_ARGUMENT, "identities: %s; see foliopost identities --help", text);
    return cli_fail(&err);
}

/* --- showing ---------------------------------------------------------------------------- */

static const char *roles_text(const Foliopost__V1__Identity *m, char out[FORMAT_CAP])
{
    out[0] = '\0';
    for (size_t i = 0; i < m->n_roles; i++)
        snprintf(out + strlen(out), FORMAT_CAP - strlen(out), "%s%s", i > 0 ? "," : "",
                 wire_enum_name(&foliopost__v1__role__descriptor, (int)m->roles[i]));
    return out;
}

static void print_identities(Foliopost__V1__Identity *const *list, size_t n)
{
    static const char *const headings[] = {"NAME", "ROLES", "BY", "EXPIRES", "ADDED", "ADDED BY", "REVOKED"};
    struct table *t = table_new(headings, 7);
    char cell[FORMAT_CAP];
    for (size_t i = 0; i < n; i++) {
        const Foliopost__V1__Identity *m = list[i];
        table_add(t, m->name);
        table_add(t, roles_text(m, cell));
        snprintf(cell, sizeof cell, "%s%s%s", m->has_token ? "token" : "",
                 m->has_token && m->subject[0] != '\0' ? ", " : "", m->subject);
        table_add(t, cell);
        table_add(t, format_time(m->expires_us, cell));
        table_add(t, format_time(m->created_us, cell));
        table_add(t, m->created_by);
        table_add(t, format_time(m->revoked_us, cell));
    }
    table_print(t, stdout);
    table_free(t);
}

/* --- add --------------------------------------------------------------------------------- */

static int parse_roles(const char *text, Foliopost__V1__AddIdentityRequest *q, struct fp_err *err)
{
    char word[32];
    for (const char *s = text; *s != '\0'; s += *s == ',') {
        size_t n = strcspn(s, ",");
        snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), s);
        int role = wire_enum_value(&foliopost__v1__role__descriptor, word);
        if (role <= 0 || q->n_roles == MAX_ROLES)
            return err_set(err, FP_INVALID_ARGUMENT,
                           "--roles: \"%s\" is not one of viewer, operator, approver, admin, once", word);
        q->roles[q->n_roles++] = (Foliopost__V1__Role)role;
        s += n;
    }
    return q->n_roles > 0 ? 0
                          : err_set(err, FP_INVALID_ARGUMENT,
                                    "--roles: one or more of viewer, operator, approver, admin are needed");
}

static void make_token(char out[TOKEN_CAP])
{
    unsigned char raw[TOKEN_BYTES];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        fp_panic("getrandom: %s", strerror(errno));
    int n = sprintf(out, "fp_");
    for (size_t i = 0; i < sizeof raw; i++)
        n += sprintf(out + n, "%02x", raw[i]);
    explicit_bzero(raw, sizeof raw);
}

/* -1: said on stderr. The file is made before the call, so that no token is lost for want of one. */
static int open_out(const char *path, int *fd, struct fp_err *err)
{
    *fd = path[0] == '\0' ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return *fd >= 0 ? 0 : err_set(err, FP_FAILED_PRECONDITION, "--out %s: %s", path, strerror(errno));
}

static int put_out(const char *path, int fd, const char *token, struct fp_err *err)
{
    char line[TOKEN_CAP + 1];
    int n = snprintf(line, sizeof line, "%s\n", token);
    bool done = write(fd, line, (size_t)n) == n;
    explicit_bzero(line, sizeof line);
    if (fd != STDOUT_FILENO && (close(fd) != 0 || !done))
        done = false;
    return done ? 0
                : err_set(err, FP_INTERNAL, "the token could not be written to %s: revoke the identity",
                          path[0] != '\0' ? path : "the standard output");
}

/* With *fd, where the token goes. */
static enum cli_exit add_with(struct cli *c, Foliopost__V1__AddIdentityRequest *q, const char *out, int fd,
                              struct fp_err *err)
{
    char token[TOKEN_CAP] = "";
    unsigned char hash[LEDGER_TOKEN_HASH];
    if (fd >= 0) {
        make_token(token);
        ledger_token_hash(token, hash);
        q->token_sha256 = (ProtobufCBinaryData){.len = sizeof hash, .data = hash};
    }
    const Foliopost__V1__Identity *r =
        cli_call(c, "AddIdentity", &q->base, &foliopost__v1__identity__descriptor, err);
    int failed = r == NULL || (fd >= 0 && put_out(out, fd, token, err) != 0);
    explicit_bzero(token, sizeof token);
    if (r == NULL && out[0] != '\0')
        (void)unlink(out);
    if (failed)
        return cli_fail(err);
    if (fd != STDOUT_FILENO && cli_json(c))
        cli_print_json(&r->base, false);
    else
        fprintf(stderr, "added; other schedulers know it within seconds\n");
    return CLI_OK;
}

static enum cli_exit add(struct cli *c, const struct values *v, const char *name)
{
    Foliopost__V1__AddIdentityRequest q = FOLIOPOST__V1__ADD_IDENTITY_REQUEST__INIT;
    Foliopost__V1__Role roles[MAX_ROLES];
    struct fp_err err;
    int fd = -1;
    q.name = (char *)name;
    q.roles = roles;
    q.subject = v->subject;
    if (v->subject[0] != '\0' && v->out[0] != '\0')
        return usage("with --subject there is no token to write to --out");
    if (parse_roles(v->roles, &q, &err) != 0 || cli_day_us("expires", v->expires, &q.expires_us, &err) != 0 ||
        (v->subject[0] == '\0' && open_out(v->out, &fd, &err) != 0))
        return cli_fail(&err);
    return add_with(c, &q, v->out, fd, &err);
}

/* --- revoke, list ------------------------------------------------------------------------ */

static enum cli_exit take_away(struct cli *c, const struct values *v, const char *name)
{
    Foliopost__V1__RevokeIdentityRequest q = FOLIOPOST__V1__REVOKE_IDENTITY_REQUEST__INIT;
    struct fp_err err;
    (void)v;
    q.name = (char *)name;
    const Foliopost__V1__Identity *r =
        cli_call(c, "RevokeIdentity", &q.base, &foliopost__v1__identity__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        print_identities((Foliopost__V1__Identity *const[]){(Foliopost__V1__Identity *)r}, 1);
    return CLI_OK;
}

static enum cli_exit list(struct cli *c, const struct values *v, const char *name)
{
    Foliopost__V1__ListIdentitiesRequest q = FOLIOPOST__V1__LIST_IDENTITIES_REQUEST__INIT;
    struct fp_err err;
    (void)name;
    q.revoked_too = v->all;
    const Foliopost__V1__ListIdentitiesResponse *r =
        cli_call(c, "ListIdentities", &q.base, &foliopost__v1__list_identities_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        print_identities(r->identities, r->n_identities);
    return CLI_OK;
}

static const struct {
    const char *name;
    unsigned bit;
    int args;
    enum cli_exit (*run)(struct cli *c, const struct values *v, const char *name);
} actions[] = {{"add", ADD, 2, add}, {"revoke", REVOKE, 2, take_away}, {"list", LIST, 1, list}};

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    const char *action = n_args > 0 ? args[0] : "list";
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].name, action) != 0)
            continue;
        if (n_args > 0 && n_args != actions[i].args)
            return usage(actions[i].args == 2 ? "the identity's name is needed" : "list takes no name");
        char what[40];
        struct fp_err err;
        snprintf(what, sizeof what, "identities %s", action);
        if (flags_check(rows, sizeof rows / sizeof rows[0], takes, values, actions[i].bit, what, &err) != 0)
            return cli_fail(&err);
        return actions[i].run(c, values, n_args > 1 ? args[1] : "");
    }
    return usage("it is add, revoke or list, as the first word");
}

const struct cli_command cli_identities = {
    .name = "identities",
    .arguments = "[add|revoke|list [NAME]]",
    .summary = "Adds, revokes and lists who may call, and in which roles",
    .details = "  foliopost identities add reports-cron --roles operator --out cron.token\n"
               "  foliopost identities add ann --roles approver,viewer --expires 2027-12-31\n"
               "  foliopost identities add ci --roles viewer --subject CN=ci,O=Example\n"
               "  foliopost identities revoke reports-cron\n"
               "  foliopost identities list --all\n"
               "The token is printed once and kept nowhere; the ledger has its hash. The first identity\n"
               "has to be an admin: from then on every call must say who it is. A scheduler's\n"
               "--rpc-token-file goes on to open everything, also when all other tokens are lost.\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .max_args = 2,
    .run = run,
};
