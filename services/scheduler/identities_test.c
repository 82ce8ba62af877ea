/* Who may call what: every method with every role, and how identities come and go. */
#include "lib/ledger/identities.h"
#include "services/scheduler/door.h"

#define DAY FP_US_PER_DAY

static Foliopost__V1__Identity *add(const char *name, unsigned roles, const char *token, const char *subject,
                                    int64_t expires_us)
{
    Foliopost__V1__AddIdentityRequest q = FOLIOPOST__V1__ADD_IDENTITY_REQUEST__INIT;
    static unsigned char hash[LEDGER_TOKEN_HASH];
    Foliopost__V1__Role list[4];

    q.name = (char *)name;
    q.roles = list;
    for (int i = 0; i < 4; i++)
        if (roles & 1u << i)
            list[q.n_roles++] = (Foliopost__V1__Role)(i + 1);
    if (token) {
        ledger_token_hash(token, hash);
        q.token_sha256 = (ProtobufCBinaryData){.len = sizeof hash, .data = hash};
    }
    q.subject = (char *)subject;
    q.expires_us = expires_us;
    return call("AddIdentity", &q.base, &foliopost__v1__identity__descriptor);
}

static void not_added(enum fp_code code, const char *says, const Foliopost__V1__Identity *r)
{
    assert_null(r);
    if (t_err.code != code || !strstr(t_err.msg, says))
        fail_msg("%s: \"%s\" does not say \"%s\"", err_code_name(t_err.code), t_err.msg, says);
}

static void as(const char *token)
{
    rpc_client_free(client);
    client = rpc_client_new(door_url, token, NULL, &t_err);
    assert_non_null(client);
}

static int nobody(void **state)
{
    as(NULL);
    return fresh(state);
}

/* --- every method with every role ---------------------------------------------------------- */

/* Written down a second time, so that a slip in the table of methods is seen. */
static const struct {
    const char *method, *roles; /* v, o, a(pprover), A(dmin) */
} allowed[] = {
    {"SubmitJob", "oA"},          {"GetJob", "voaA"},         {"WatchJob", "voaA"},
    {"ListJobs", "voaA"},         {"PauseJob", "oA"},         {"ResumeJob", "oA"},
    {"CancelJob", "oaA"},         {"ApproveJob", "aA"},       {"GetReport", "voaA"},
    {"ListDeliveries", "voaA"},   {"GetUserHistory", "voaA"}, {"RetryFailed", "oA"},
    {"ResolveAmbiguous", "oA"},   {"GetFleet", "voaA"},       {"Suppress", "oA"},
    {"Unsuppress", "oA"},         {"EraseUser", "A"},         {"Resend", "oA"},
    {"ListSuppressions", "voaA"}, {"ListRates", "voaA"},      {"SetRate", "oA"},
    {"ListAudit", "oaA"},         {"CreateSchedule", "oA"},   {"GetSchedule", "voaA"},
    {"ListSchedules", "voaA"},    {"UpdateSchedule", "oA"},   {"PauseSchedule", "oA"},
    {"ResumeSchedule", "oA"},     {"DeleteSchedule", "oA"},   {"RunSchedule", "oA"},
    {"AddIdentity", "A"},         {"RevokeIdentity", "A"},    {"ListIdentities", "A"},
    {"PreviewEmail", "oA"},       {"SendTest", "oA"},
};

static const char *roles_of(const char *method)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (strcmp(allowed[i].method, method) == 0)
            return allowed[i].roles;
    fail_msg("%s: who may call it? add it to the table of this test", method);
    return "";
}

/* An empty request: whoever may call is told what is wrong with it, if anything. */
static void try_method(const struct rpc_method *m, char role, const char *who)
{
    /* Of no field; the client does not know which request the method wants. */
    Foliopost__V1__GetFleetRequest request = FOLIOPOST__V1__GET_FLEET_REQUEST__INIT;

    t_err.code = FP_OK;
    t_err.msg[0] = '\0';
    void *r = call(m->name, &request.base, m->reply);
    bool denied = !r && t_err.code == FP_PERMISSION_DENIED;
    if (!r && (t_err.code == FP_UNAUTHENTICATED || t_err.code == FP_UNAVAILABLE))
        fail_msg("%s as %s: %s", m->name, who, t_err.msg);
    if (denied == (strchr(roles_of(m->name), role) != NULL))
        fail_msg("%s as %s: %s", m->name, who, denied ? t_err.msg : "allowed");
    if (denied && (!strstr(t_err.msg, who) || !strstr(t_err.msg, m->name)))
        fail_msg("\"%s\" names not both %s and %s", t_err.msg, m->name, who);
}

static void each_role_may_call_what_the_table_says_and_nothing_else(void **state)
{
    static const struct {
        char letter;
        const char *name;
        unsigned role;
    } roles[] = {{'A', "an-admin", LEDGER_ADMIN},
                 {'v', "a-viewer", LEDGER_VIEWER},
                 {'o', "an-operator", LEDGER_OPERATOR},
                 {'a', "an-approver", LEDGER_APPROVER}};

    (void)state;
    assert_int_equal(methods_n, sizeof allowed / sizeof allowed[0]);
    for (int i = 0; i < 4; i++) {
        assert_non_null(add(roles[i].name, roles[i].role, roles[i].name, "", 0));
        as("an-admin");
    }
    for (int i = 0; i < 4; i++) {
        as(roles[i].name);
        for (size_t k = 0; k < methods_n; k++) {
            arena_reset(arena);
            try_method(&methods_table[k], roles[i].letter, roles[i].name);
        }
    }
}

static void every_method_is_somebodys(void **state)
{
    (void)state;
    for (size_t i = 0; i < methods_n; i++)
        assert_true(methods_table[i].roles & RPC_ADMIN || strcmp(methods_table[i].name, "ApproveJob") == 0);
}

/* --- how they come and go ------------------------------------------------------------------- */

static enum fp_code look_with(const char *token)
{
    Foliopost__V1__ListJobsRequest q = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;

    as(token);
    return call("ListJobs", &q.base, &foliopost__v1__list_jobs_response__descriptor) ? FP_OK : t_err.code;
}

static enum fp_code revoked(const char *name)
{
    Foliopost__V1__RevokeIdentityRequest q = FOLIOPOST__V1__REVOKE_IDENTITY_REQUEST__INIT;

    q.name = (char *)name;
    const Foliopost__V1__Identity *r = call("RevokeIdentity", &q.base, &foliopost__v1__identity__descriptor);
    return r && r->revoked_us > 0 ? FP_OK : t_err.code;
}

static size_t listed(bool revoked_too)
{
    Foliopost__V1__ListIdentitiesRequest q = FOLIOPOST__V1__LIST_IDENTITIES_REQUEST__INIT;

    q.revoked_too = revoked_too;
    const Foliopost__V1__ListIdentitiesResponse *r =
        called("ListIdentities", &q.base, &foliopost__v1__list_identities_response__descriptor);
    return r->n_identities;
}

static void the_first_identity_locks_the_door_and_a_revoked_one_opens_nothing(void **state)
{
    (void)state;
    assert_int_equal(look_with(NULL), FP_OK);
    not_added(FP_FAILED_PRECONDITION, "must be an admin", add("eve", LEDGER_VIEWER, "secret-e", "", 0));
    assert_non_null(add("root", LEDGER_ADMIN, "secret-r", "", 0));
    assert_int_equal(look_with(NULL), FP_UNAUTHENTICATED);
    assert_int_equal(look_with("secret-x"), FP_UNAUTHENTICATED);
    assert_null(strstr(t_err.msg, "secret"));
    as("secret-r");
    const Foliopost__V1__Identity *eve =
        add("eve", LEDGER_VIEWER | LEDGER_APPROVER, "secret-e", "", clock_wall_us() + DAY);
    assert_int_equal(eve->n_roles, 2);
    assert_string_equal(eve->created_by, "root");
    assert_int_equal(look_with("secret-e"), FP_OK);
    as("secret-r");
    assert_int_equal(revoked("eve"), FP_OK);
    assert_int_equal(revoked("eve"), FP_OK);
    assert_int_equal(revoked("adam"), FP_NOT_FOUND);
    assert_int_equal(listed(false), 1);
    assert_int_equal(listed(true), 2);
    assert_int_equal(look_with("secret-e"), FP_UNAUTHENTICATED);
    as("secret-r");
    assert_int_equal(revoked("root"), FP_OK);
    assert_int_equal(look_with(NULL), FP_UNAUTHENTICATED); /* not open again */
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action LIKE '%%_identity'"), 4);
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.audit WHERE actor = 'root' AND action = 'revoke_identity'"), 2);
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.identities WHERE token_hash::text LIKE '%%secret%%'"), 0);
}

static void the_same_identity_again_is_a_success_and_another_is_not(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_non_null(add("root", LEDGER_ADMIN, "secret-r", "CN=root,O=us", 0));
        as("secret-r");
    }
    not_added(FP_ALREADY_EXISTS, "choose another name", add("root", LEDGER_ADMIN, "secret-2", "", 0));
    not_added(FP_ALREADY_EXISTS, "token or subject", add("toor", LEDGER_ADMIN, "secret-r", "", 0));
    not_added(FP_ALREADY_EXISTS, "token or subject", add("toor", LEDGER_ADMIN, NULL, "CN=root,O=us", 0));
    not_added(FP_INVALID_ARGUMENT, "roles", add("x", 0, "t", "", 0));
    not_added(FP_INVALID_ARGUMENT, "name", add("a b", LEDGER_VIEWER, "t", "", 0));
    not_added(FP_INVALID_ARGUMENT, "name", add("-a", LEDGER_VIEWER, "t", "", 0));
    not_added(FP_INVALID_ARGUMENT, "name", add("ann@example.org", LEDGER_VIEWER, "t", "", 0));
    not_added(FP_INVALID_ARGUMENT, "another in the audit", add("token-file", LEDGER_VIEWER, "t", "", 0));
    not_added(FP_INVALID_ARGUMENT, "neither", add("x", LEDGER_VIEWER, NULL, "", 0));
    not_added(FP_FAILED_PRECONDITION, "over already", add("x", LEDGER_VIEWER, "t", "", 1));
}

static void an_expired_identity_is_told_so(void **state)
{
    (void)state;
    assert_non_null(add("root", LEDGER_ADMIN, "secret-r", "", 0));
    as("secret-r");
    assert_non_null(add("brief", LEDGER_VIEWER, "secret-b", "", clock_wall_us() + DAY));
    assert_int_equal(look_with("secret-b"), FP_OK);
    t_sql(
        "UPDATE foliopost.identities SET expires_at = clock_timestamp() - interval '1 s' WHERE name = 'brief'");
    assert_int_equal(identities_read(identities, t_ledger, &t_err), 0);
    assert_int_equal(look_with("secret-b"), FP_UNAUTHENTICATED);
    assert_non_null(strstr(t_err.msg, "brief has expired"));
}

static void the_audit_names_the_identity(void **state)
{
    (void)state;
    assert_non_null(add("root", LEDGER_ADMIN, "secret-r", "", 0));
    as("secret-r");
    assert_non_null(add("reports-cron", LEDGER_OPERATOR, "secret-c", "", 0));
    as("secret-c");
    int64_t id = submitted("named");
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE actor = 'reports-cron'"
                           " AND action = 'submit' AND job_id = %lld AND peer LIKE '127.0.0.1:%%'",
                           (long long)id),
                     1);
}

static enum fp_code approved(const char *token, int64_t id)
{
    Foliopost__V1__ApproveJobRequest q = FOLIOPOST__V1__APPROVE_JOB_REQUEST__INIT;

    as(token);
    q.job_id = id;
    const Foliopost__V1__Job *j = call("ApproveJob", &q.base, &foliopost__v1__job__descriptor);
    return j ? FP_OK : t_err.code;
}

static void somebody_else_than_the_submitter_approves(void **state)
{
    struct t_scheduler s;

    (void)state;
    t_users(150, "2024-01-20", "6 hours");
    t_set.approval_above = 149;
    t_scheduler_up(&s);
    int64_t id = submitted("large"), before = id;
    assert_true(get(id)->spec->approval_required);
    assert_int_equal(approved(NULL, id),
                     FP_PERMISSION_DENIED); /* without identities there is no second one */
    t_sql("UPDATE foliopost.jobs SET submitted_by = 'CN=ann' WHERE id = %lld", (long long)id);
    assert_int_equal(approved(NULL, id), FP_PERMISSION_DENIED); /* her other name, by the other door */
    assert_non_null(add("root", LEDGER_ADMIN, "secret-r", "", 0));
    as("secret-r");
    assert_non_null(add("ann", LEDGER_OPERATOR | LEDGER_APPROVER, "secret-a", "", 0));
    assert_non_null(add("bob", LEDGER_APPROVER, "secret-b", "", 0));
    as("secret-a");
    id = submitted("by ann");
    t_tick(&s);
    const Foliopost__V1__Job *j = get(id);
    assert_int_equal(j->state, FOLIOPOST__V1__JOB_STATE__JOB_STATE_PENDING);
    assert_true(waits_for(j, "waiting for approval by somebody else than ann"));
    assert_int_equal(approved("secret-a", id), FP_PERMISSION_DENIED);
    assert_non_null(strstr(t_err.msg, "another identity"));
    woken = 0;
    assert_int_equal(approved("secret-b", id), FP_OK);
    assert_int_equal(woken, 1);
    assert_int_equal(approved("secret-b", before), FP_OK);
    j = get(id);
    assert_string_equal(j->submitted_by, "ann");
    assert_string_equal(j->approved_by, "bob");
    assert_false(waits_for(j, "approval"));
    t_tick(&s);
    assert_int_equal(get(id)->state, FOLIOPOST__V1__JOB_STATE__JOB_STATE_IN_PROGRESS);
    t_set.approval_above = 150; /* not more than that */
    as("secret-a");
    assert_false(get(submitted("small"))->spec->approval_required);
    t_set.approval_required = true;
    assert_true(get(submitted("all"))->spec->approval_required);
    t_scheduler_down(&s);
}

/* --- the copy in memory ------------------------------------------------------------------------ */

static void certificates_are_known_by_subject_and_tokens_go_first(void **state)
{
    const struct rpc_identities *door = identities_door(identities);
    struct rpc_identity who;

    (void)state;
    assert_non_null(add("root", LEDGER_ADMIN, "secret-r", "", 0));
    as("secret-r");
    assert_non_null(add("by-cert", LEDGER_VIEWER, NULL, "CN=reports,O=us", 0));
    assert_int_equal(door->find(door->ctx, "", "CN=reports,O=us", &who, &t_err), RPC_FOUND);
    assert_string_equal(who.name, "by-cert");
    assert_int_equal(who.roles, RPC_VIEWER);
    assert_int_equal(door->find(door->ctx, "", "CN=reports", &who, &t_err), RPC_STRANGER);
    assert_int_equal(door->find(door->ctx, "", "", &who, &t_err), RPC_STRANGER);
    assert_int_equal(door->find(door->ctx, "wrong", "CN=reports,O=us", &who, &t_err), RPC_STRANGER);
    assert_int_equal(door->find(door->ctx, "secret-r", "CN=reports,O=us", &who, &t_err), RPC_FOUND);
    assert_string_equal(who.name, "root");
}

static void a_scheduler_that_could_not_read_them_lets_nobody_in(void **state)
{
    struct identities *x = identities_new();
    const struct rpc_identities *door = identities_door(x);
    struct pg_options nowhere = {.dsn = "host=127.0.0.1 port=1 dbname=none", .connect_timeout_ms = 500};
    struct rpc_identity who;

    (void)state;
    assert_int_equal(door->find(door->ctx, "", "", &who, &t_err), -1);
    assert_int_equal(t_err.code, FP_UNAVAILABLE);
    assert_int_equal(identities_start(x, &nowhere, &t_err), 0);
    assert_int_equal(door->find(door->ctx, "", "", &who, &t_err), -1);
    assert_int_equal(identities_read(x, t_ledger, &t_err), 0);
    assert_int_equal(door->find(door->ctx, "", "", &who, &t_err), RPC_NONE_EXISTS);
    identities_free(x);
}

static void what_another_scheduler_changed_is_known_within_seconds(void **state)
{
    struct identities *x = identities_new();
    const struct rpc_identities *door = identities_door(x);
    struct pg_options o = t_pg();
    struct rpc_identity who;
    int64_t until_us = clock_mono_us() + 60 * FP_US_PER_S;

    (void)state;
    assert_int_equal(identities_start(x, &o, &t_err), 0);
    assert_int_equal(door->find(door->ctx, "secret-r", "", &who, &t_err), RPC_NONE_EXISTS);
    assert_non_null(add("root", LEDGER_ADMIN, "secret-r", "", 0));
    while (door->find(door->ctx, "secret-r", "", &who, &t_err) != RPC_FOUND && clock_mono_us() < until_us)
        clock_sleep_us(20000);
    assert_string_equal(who.name, "root");
    identities_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_role_may_call_what_the_table_says_and_nothing_else, nobody),
        cmocka_unit_test(every_method_is_somebodys),
        cmocka_unit_test_setup(the_first_identity_locks_the_door_and_a_revoked_one_opens_nothing, nobody),
        cmocka_unit_test_setup(the_same_identity_again_is_a_success_and_another_is_not, nobody),
        cmocka_unit_test_setup(an_expired_identity_is_told_so, nobody),
        cmocka_unit_test_setup(the_audit_names_the_identity, nobody),
        cmocka_unit_test_setup(somebody_else_than_the_submitter_approves, nobody),
        cmocka_unit_test_setup(certificates_are_known_by_subject_and_tokens_go_first, nobody),
        cmocka_unit_test_setup(a_scheduler_that_could_not_read_them_lets_nobody_in, nobody),
        cmocka_unit_test_setup(what_another_scheduler_changed_is_known_within_seconds, nobody),
    };

    int failed = cmocka_run_group_tests(tests, door_up, door_down);
    _exit(failed); /* NNG 1.5 is not taken down: see lib/bus/bus.h */
}
