/* Messages: packing, unpacking of hostile bytes, the rules, JSON, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/text.h"
#include "lib/wire/wire.h"

#define PB(m) (&(m).base)

struct batch { /* a UserBatch of n users that passes every check */
    Foliopost__V1__UserBatch msg;
    Foliopost__V1__JobContext job;
    Foliopost__V1__User users[WIRE_MAX_USERS + 1];
    Foliopost__V1__User *list[WIRE_MAX_USERS + 1];
};

static Foliopost__V1__JobContext good_context(void)
{
    Foliopost__V1__JobContext job = FOLIOPOST__V1__JOB_CONTEXT__INIT;
    job.job_id = 7;
    job.kind = "monthly";
    job.period_start_day = 20000;
    job.period_end_day = 20029;
    job.as_of_us = 1700000000000000;
    job.mail_date_us = 1700000000000000;
    job.template_name = "statement";
    job.brand = "default";
    return job;
}

static Foliopost__V1__User good_user(int64_t id)
{
    Foliopost__V1__User u = FOLIOPOST__V1__USER__INIT;
    u.id = id;
    u.email = "anna@example.com";
    u.first_name = "Анна";
    u.last_name = "O'Neill";
    u.base_currency = "EUR";
    return u;
}

static void fill_batch(struct batch *b, size_t n)
{
    foliopost__v1__user_batch__init(&b->msg);
    b->job = good_context();
    b->msg.schema_version = 1;
    b->msg.job = &b->job;
    b->msg.batch_id = 12;
    for (size_t i = 0; i < n; i++) {
        b->users[i] = good_user((int64_t)i + 1);
        b->list[i] = &b->users[i];
    }
    b->msg.users = b->list;
    b->msg.n_users = n;
}

static void assert_refused(const ProtobufCMessage *m, const char *text)
{
    struct fp_err err = {0};
    assert_int_equal(wire_check(m, &err), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    if (strcmp(err.msg, text) != 0)
        fail_msg("refused with \"%s\", not with \"%s\"", err.msg, text);
}

static void assert_passes(const ProtobufCMessage *m)
{
    struct fp_err err = {0};
    if (wire_check(m, &err) != 0)
        fail_msg("refused: %s", err.msg);
}

static void a_batch_survives_the_way(void **state)
{
    (void)state;
    struct batch b;
    fill_batch(&b, 100);
    struct fp_str packed;
    struct fp_err err;
    str_init(&packed, 0);
    assert_int_equal(wire_pack(PB(b.msg), WIRE_MAX_MESSAGE_BYTES, &packed, &err), 0);
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    for (int round = 0; round < 3; round++) { /* an arena is used again and again */
        Foliopost__V1__UserBatch *got =
            wire_unpack(&foliopost__v1__user_batch__descriptor, packed.data, packed.len, arena, &err);
        assert_non_null(got);
        assert_int_equal(got->n_users, 100);
        assert_int_equal(got->users[99]->id, 100);
        assert_string_equal(got->users[99]->first_name, "Анна");
        assert_int_equal(got->job->period_end_day, 20029);
        arena_reset(arena);
    }
    arena_free(arena);
    str_fini(&packed);
}

static void packing_appends_and_has_a_maximum(void **state)
{
    (void)state;
    struct batch b;
    struct fp_str packed;
    struct fp_err err;
    fill_batch(&b, 2);
    str_init(&packed, 0);
    str_puts(&packed, "before");
    assert_int_equal(wire_pack(PB(b.msg), 20, &packed, &err), -1);
    assert_int_equal(err.code, FP_RESOURCE_EXHAUSTED);
    assert_int_equal(packed.len, 6);
    assert_int_equal(wire_pack(PB(b.msg), 1000, &packed, &err), 0);
    assert_memory_equal(packed.data, "before", 6);
    assert_true(packed.len > 6);
    str_fini(&packed);
    struct fp_str small;
    str_init(&small, 16);
    assert_int_equal(wire_pack(PB(b.msg), 1000, &small, &err), -1);
    assert_int_equal(err.code, FP_RESOURCE_EXHAUSTED);
    str_fini(&small);
}

static void an_empty_message_packs_to_nothing_and_back(void **state)
{
    (void)state;
    Foliopost__V1__ListJobsRequest m = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;
    struct fp_str packed;
    struct fp_err err;
    str_init(&packed, 0);
    assert_int_equal(wire_pack(PB(m), 100, &packed, &err), 0);
    assert_int_equal(packed.len, 0);
    struct fp_arena *arena = arena_new(4096);
    assert_non_null(wire_unpack(&foliopost__v1__list_jobs_request__descriptor, NULL, 0, arena, &err));
    arena_free(arena);
    str_fini(&packed);
}

static void strings_must_be_clean_and_short(void **state)
{
    (void)state;
    struct batch b;
    char longer[500];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    fill_batch(&b, 4);
    b.users[3].email = "a@b.c\r\nRCPT TO:<evil@x>";
    assert_refused(PB(b.msg), "UserBatch.users[3].email: control character");
    b.users[3].email = "a\xc3(";
    assert_refused(PB(b.msg), "UserBatch.users[3].email: not valid UTF-8");
    b.users[3].email = longer;
    assert_refused(PB(b.msg), "UserBatch.users[3].email: longer than 254 bytes");
    b.users[3].email = "";
    b.users[0].last_name = "x\xc2\x85"; /* NEL, a C1 control character */
    assert_refused(PB(b.msg), "UserBatch.users[0].last_name: control character");
    b.users[0].last_name = NULL; /* protobuf-c takes it as empty, so do we */
    assert_passes(PB(b.msg));
}

static void counts_and_ids_are_bounded(void **state)
{
    (void)state;
    struct batch b;
    fill_batch(&b, WIRE_MAX_USERS);
    assert_passes(PB(b.msg));
    fill_batch(&b, WIRE_MAX_USERS + 1);
    assert_refused(PB(b.msg), "UserBatch.users: 201 elements, at most 200 are allowed");
    fill_batch(&b, 0);
    assert_refused(PB(b.msg), "UserBatch.users: empty");
    fill_batch(&b, 3);
    b.users[2].id = 1;
    assert_refused(PB(b.msg), "UserBatch.users[2]: the same user as users[0]");
    b.users[2].id = 0;
    assert_refused(PB(b.msg), "UserBatch.users[2].id: 0 is below 1");
    b.users[2].id = INT64_MIN;
    assert_refused(PB(b.msg), "UserBatch.users[2].id: -9223372036854775808 is below 1");
    fill_batch(&b, 1);
    b.msg.batch_id = -1;
    assert_refused(PB(b.msg), "UserBatch.batch_id: -1 is below 1");
    b.msg.batch_id = 1;
    b.msg.job = NULL;
    assert_refused(PB(b.msg), "UserBatch.job: missing");
}

static void versions_and_contexts_are_checked(void **state)
{
    (void)state;
    struct batch b;
    fill_batch(&b, 1);
    b.msg.schema_version = 2;
    assert_refused(PB(b.msg), "UserBatch.schema_version: 2 is not in 1..1");
    fill_batch(&b, 1);
    b.job.kind = "yearly";
    assert_refused(PB(b.msg), "UserBatch.job.kind: must be weekly, monthly or custom");
    fill_batch(&b, 1);
    b.job.period_end_day = 2000000000;
    assert_refused(PB(b.msg), "UserBatch.job.period_end_day: 2000000000 is not in -25567..2932896");
    b.job.period_end_day = b.job.period_start_day - 1;
    assert_refused(PB(b.msg), "UserBatch.job.period_end_day: before period_start_day");
    fill_batch(&b, 1);
    b.job.template_name = "../etc/passwd";
    assert_refused(PB(b.msg), "UserBatch.job.template_name: must not begin with a dot");
    b.job.template_name = "a/b";
    assert_refused(
        PB(b.msg),
        "UserBatch.job.template_name: only letters, digits, dot, hyphen and underscore are allowed");
}

static void work_names_one_kind_of_work(void **state)
{
    (void)state;
    Foliopost__V1__Work w = FOLIOPOST__V1__WORK__INIT;
    Foliopost__V1__Grant g = FOLIOPOST__V1__GRANT__INIT;
    Foliopost__V1__BatchRef ref = FOLIOPOST__V1__BATCH_REF__INIT;
    w.schema_version = 1;
    w.job_id = 3;
    assert_refused(PB(w), "Work.work: neither grant nor batch is set");
    w.work_case = FOLIOPOST__V1__WORK__WORK_GRANT;
    assert_refused(PB(w), "Work.grant: missing");
    w.grant = &g;
    assert_refused(PB(w), "Work.grant.interval_no: 0 is below 1");
    g.interval_no = g.grant_no = 1;
    g.pages = 20000;
    assert_refused(PB(w), "Work.grant.pages: 20000 is not in 1..10000");
    g.pages = 20;
    assert_passes(PB(w));
    w.work_case = FOLIOPOST__V1__WORK__WORK_BATCH;
    w.batch = &ref;
    assert_refused(PB(w), "Work.batch.batch_id: 0 is below 1");
    ref.batch_id = 9;
    assert_passes(PB(w));
}

static void summaries_are_checked_to_the_last_mover(void **state)
{
    (void)state;
    Foliopost__V1__SummaryBatch b = FOLIOPOST__V1__SUMMARY_BATCH__INIT;
    Foliopost__V1__JobContext job = good_context();
    Foliopost__V1__User user = good_user(5);
    Foliopost__V1__PortfolioSummary s = FOLIOPOST__V1__PORTFOLIO_SUMMARY__INIT;
    Foliopost__V1__Mover mover = FOLIOPOST__V1__MOVER__INIT;
    Foliopost__V1__SummaryFailure failure = FOLIOPOST__V1__SUMMARY_FAILURE__INIT;
    Foliopost__V1__SummaryItem item = FOLIOPOST__V1__SUMMARY_ITEM__INIT, *items[] = {&item, &item};
    Foliopost__V1__Mover *movers[11] = {&mover, &mover, &mover, &mover, &mover, &mover,
                                        &mover, &mover, &mover, &mover, &mover};
    b.schema_version = 1;
    b.job = &job;
    b.batch_id = 1;
    b.items = items;
    b.n_items = 1;
    assert_refused(PB(b), "SummaryBatch.items[0].user: missing");
    item.user = &user;
    assert_refused(PB(b), "SummaryBatch.items[0].outcome: none of summary, failure and skip is set");
    item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SKIP;
    assert_refused(PB(b), "SummaryBatch.items[0].skip: 0 is below 1");
    item.skip = 99;
    assert_refused(PB(b), "SummaryBatch.items[0].skip: 99 is not a value of the enum");
    item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_FAILURE;
    item.failure = &failure;
    assert_refused(PB(b), "SummaryBatch.items[0].failure.reason: empty");
    item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
    item.summary = &s;
    s.currency = "eur";
    assert_refused(PB(b), "SummaryBatch.items[0].summary.currency: must be three capital letters");
    s.currency = "EURO";
    assert_refused(PB(b), "SummaryBatch.items[0].summary.currency: longer than 3 bytes");
    s.currency = "EUR";
    s.exponent = 5;
    assert_refused(PB(b), "SummaryBatch.items[0].summary.exponent: 5 is not in 0..4");
    s.exponent = 2;
    s.top = movers;
    s.n_top = 11;
    assert_refused(PB(b), "SummaryBatch.items[0].summary.top: 11 elements, at most 10 are allowed");
    s.n_top = 2;
    mover.name = "bell\a";
    assert_refused(PB(b), "SummaryBatch.items[0].summary.top[0].name: control character");
    mover.name = "Müller AG";
    Foliopost__V1__SummaryFlag flags[] = {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_STALE_PRICE, 77};
    s.flags = flags;
    s.n_flags = 2;
    assert_refused(PB(b), "SummaryBatch.items[0].summary.flags[1]: 77 is not a value of the enum");
    s.n_flags = 1;
    assert_passes(PB(b));
    b.n_items = 2;
    assert_refused(PB(b), "SummaryBatch.items[1]: the same user as items[0]");
}

static void enums_are_strict_in_requests_and_not_in_replies(void **state)
{
    (void)state;
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;
    Foliopost__V1__SubmitJobRequest request = FOLIOPOST__V1__SUBMIT_JOB_REQUEST__INIT;
    Foliopost__V1__Job job = FOLIOPOST__V1__JOB__INIT;
    request.request_id = "r";
    request.spec = &spec;
    job.spec = &spec;
    spec.kind = 44;
    assert_refused(PB(request), "SubmitJobRequest.spec.kind: 44 is not a value of the enum");
    assert_passes(PB(job));
    spec.kind = FOLIOPOST__V1__JOB_KIND__JOB_KIND_WEEKLY;
    assert_passes(PB(request));
    int64_t ids[] = {4, -2};
    spec.user_ids = ids;
    spec.n_user_ids = 2;
    assert_refused(PB(request), "SubmitJobRequest.spec.user_ids[1]: -2 is below 1");
    request.request_id = "";
    spec.n_user_ids = 0;
    assert_refused(PB(request), "SubmitJobRequest.request_id: empty");
}

static void assert_too_new(const ProtobufCMessage *m, const char *text)
{
    struct fp_err err = {0};
    assert_int_equal(wire_check(m, &err), -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    assert_string_equal(err.msg, text);
}

/* What a newer client asks for is not left out; what a newer peer tells is. */
static void unknown_fields_are_refused_in_requests_alone(void **state)
{
    (void)state;
    ProtobufCMessageUnknownField newer = {.tag = 31,
                                          .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT,
                                          .len = 1,
                                          .data = (uint8_t *)"\1"};
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;
    Foliopost__V1__Schedule schedule = FOLIOPOST__V1__SCHEDULE__INIT;
    Foliopost__V1__SubmitJobRequest submit = FOLIOPOST__V1__SUBMIT_JOB_REQUEST__INIT;
    Foliopost__V1__UpdateScheduleRequest update = FOLIOPOST__V1__UPDATE_SCHEDULE_REQUEST__INIT;
    Foliopost__V1__Job job = FOLIOPOST__V1__JOB__INIT;
    Foliopost__V1__RpcRequest envelope = FOLIOPOST__V1__RPC_REQUEST__INIT;
    spec.base.n_unknown_fields = envelope.base.n_unknown_fields = 1;
    spec.base.unknown_fields = envelope.base.unknown_fields = &newer;
    spec.kind = FOLIOPOST__V1__JOB_KIND__JOB_KIND_WEEKLY;
    submit.request_id = schedule.name = schedule.cron = envelope.method = "r";
    submit.spec = schedule.spec = job.spec = &spec;
    update.schedule = &schedule;
    envelope.schema_version = 1;
    assert_passes(PB(job));
    assert_passes(PB(envelope)); /* what it carries is judged by itself */
    assert_too_new(
        PB(submit),
        "SubmitJobRequest.spec: field 31 is not known to this version: call again after the rollout");
    assert_too_new(PB(update), "UpdateScheduleRequest.schedule.spec: field 31 is not known to this version: "
                               "call again after the rollout");
    struct fp_err err;
    assert_passes(PB(spec));
    assert_int_equal(wire_check_request(PB(spec), &err), -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
}

static void a_nul_inside_a_string_cuts_it_before_the_checks(void **state)
{
    (void)state;
    static const char raw[] = "\x08\x01\x12\x06Get\0\r\n"; /* version 1, method of six bytes */
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    struct fp_err err;
    Foliopost__V1__RpcRequest *m =
        wire_unpack(&foliopost__v1__rpc_request__descriptor, raw, sizeof raw - 1, arena, &err);
    assert_non_null(m);
    assert_string_equal(m->method, "Get");
    arena_free(arena);
}

static void amplification_ends_in_an_error(void **state)
{
    (void)state;
    size_t bytes = 1024 * 1024;
    char *raw = malloc(bytes);
    for (size_t i = 0; i < bytes; i += 2) { /* field 5, an empty user, again and again */
        raw[i] = 0x2a;
        raw[i + 1] = 0;
    }
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    struct fp_err err;
    assert_null(wire_unpack(&foliopost__v1__user_batch__descriptor, raw, bytes, arena, &err));
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    assert_string_equal(err.msg, "UserBatch: unpacks to more memory than allowed");
    assert_null(wire_unpack(&foliopost__v1__user_batch__descriptor, raw, bytes + 2, arena, &err));
    assert_string_equal(err.msg, "UserBatch: 1048578 bytes, at most 1048576 are read");
    arena_free(arena);
    free(raw);
}

/* Every cut and every flipped bit of a good message is an answer, not a crash. */
static void damaged_messages_never_crash(void **state)
{
    (void)state;
    struct batch b;
    struct fp_str packed;
    struct fp_err err;
    fill_batch(&b, 3);
    str_init(&packed, 0);
    assert_int_equal(wire_pack(PB(b.msg), 10000, &packed, &err), 0);
    struct fp_arena *arena = arena_new(64 * 1024);
    for (size_t n = 0; n < packed.len; n++) {
        char *cut = malloc(n + 1); /* of its own, so that ASan sees a byte too far */
        memcpy(cut, packed.data, n);
        (void)!wire_unpack(&foliopost__v1__user_batch__descriptor, cut, n, arena, &err);
        arena_reset(arena);
        free(cut);
    }
    unsigned refused = 0;
    for (size_t bit = 0; bit < packed.len * 8; bit++) {
        packed.data[bit / 8] ^= (char)(1 << bit % 8);
        refused +=
            wire_unpack(&foliopost__v1__user_batch__descriptor, packed.data, packed.len, arena, &err) == NULL;
        packed.data[bit / 8] ^= (char)(1 << bit % 8);
        arena_reset(arena);
    }
    assert_true(refused > 100);
    arena_free(arena);
    str_fini(&packed);
}

static unsigned depth_of(const ProtobufCMessageDescriptor *d, unsigned above)
{
    unsigned deepest = above;
    if (above > 20)
        fail_msg("message %s contains itself", d->name);
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (d->fields[i].type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        unsigned n = depth_of(d->fields[i].descriptor, above + 1);
        deepest = n > deepest ? n : deepest;
    }
    return deepest;
}

static void no_message_contains_itself(void **state)
{
    (void)state;
    const ProtobufCServiceDescriptor *service = &foliopost__v1__job_service__descriptor;
    for (unsigned i = 0; i < service->n_methods; i++) {
        depth_of(service->methods[i].input, 0);
        depth_of(service->methods[i].output, 0);
    }
    assert_int_equal(depth_of(&foliopost__v1__summary_batch__descriptor, 0), 4);
    depth_of(&foliopost__v1__work__descriptor, 0);
    depth_of(&foliopost__v1__user_batch__descriptor, 0);
}

static void json_prints_every_field_by_its_proto_name(void **state)
{
    (void)state;
    Foliopost__V1__ReasonCount r = FOLIOPOST__V1__REASON_COUNT__INIT, *reasons[] = {&r};
    Foliopost__V1__Report report = FOLIOPOST__V1__REPORT__INIT;
    struct fp_str out;
    str_init(&out, 0);
    r.state = FOLIOPOST__V1__DELIVERY_STATE__DELIVERY_STATE_FAILED;
    r.reason = "550 \"no\" <b>";
    r.users = INT64_MAX;
    report.success_rate = 0.1;
    report.duration_s = 1e300 * 1e300;
    report.reasons = reasons;
    report.n_reasons = 1;
    wire_print_json(PB(report), false, &out);
    assert_string_equal(
        out.data, "{\"job\":null,\"duration_s\":null,\"users_processed\":0,\"mails_sent\":0,\"failed\":0,"
                  "\"skipped\":0,\"ambiguous\":0,\"deferred\":0,\"maybe_doubles\":0,\"success_rate\":0.1,"
                  "\"users_per_minute\":0,\"intervals\":[],\"reasons\":[{\"state\":\"DELIVERY_STATE_FAILED\","
                  "\"reason\":\"550 \\\"no\\\" <b>\",\"users\":9223372036854775807}],"
                  "\"delivered\":0,\"bounced\":0,\"complained\":0,\"unsubscribed\":0,\"dry_run\":null}");
    str_clear(&out);
    Foliopost__V1__Work w = FOLIOPOST__V1__WORK__INIT;
    Foliopost__V1__BatchRef ref = FOLIOPOST__V1__BATCH_REF__INIT;
    w.work_case = FOLIOPOST__V1__WORK__WORK_BATCH;
    w.batch = &ref;
    ref.batch_id = 4;
    wire_print_json(PB(w), true, &out);
    assert_string_equal(out.data, "{\n  \"schema_version\": 0,\n  \"traceparent\": \"\",\n  \"job_id\": 0,\n"
                                  "  \"batch\": {\n    \"batch_id\": 4\n  }\n}");
    str_fini(&out);
}

/* protobuf-c reads a field of number 0 and cannot read again what it makes of it. */
static void a_field_of_number_zero_is_refused(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0}; /* 64 bits, number 0 in two bytes */
    struct fp_arena *arena = arena_new(1 << 16);
    struct fp_err err;

    assert_null(wire_unpack(&foliopost__v1__work__descriptor, bytes, sizeof bytes, arena, &err));
    assert_non_null(strstr(err.msg, "a field of number 0"));
    arena_free(arena);
}

static void json_prints_bytes_in_base64_and_unknown_enums_as_numbers(void **state)
{
    (void)state;
    static const char *const want[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    struct fp_str out;
    str_init(&out, 0);
    for (size_t n = 0; n <= 6; n++) { /* the vectors of RFC 4648, section 10 */
        Foliopost__V1__RpcReply m = FOLIOPOST__V1__RPC_REPLY__INIT;
        char line[160];
        m.payload.data = (uint8_t *)"foobar";
        m.payload.len = n;
        snprintf(line, sizeof line,
                 "{\"schema_version\":0,\"request_id\":\"\",\"code\":0,\"message\":\"\",\"payload\":\"%s\"}",
                 want[n]);
        str_clear(&out);
        wire_print_json(PB(m), false, &out);
        assert_string_equal(out.data, line);
    }
    Foliopost__V1__ListJobsRequest list = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;
    list.state = 42;
    str_clear(&out);
    wire_print_json(PB(list), false, &out);
    assert_non_null(strstr(out.data, "{\"state\":42,")); /* what else the request has is no matter here */
    str_fini(&out);
}

static void enums_have_short_names(void **state)
{
    (void)state;
    const ProtobufCEnumDescriptor *d = &foliopost__v1__delivery_state__descriptor;
    assert_string_equal(wire_enum_name(d, 1), "sent");
    assert_string_equal(wire_enum_name(&foliopost__v1__job_state__descriptor, 2), "in_progress");
    assert_string_equal(wire_enum_name(&foliopost__v1__skip_reason__descriptor, 4), "nothing_to_report");
    assert_string_equal(wire_enum_name(d, 99), "");
    assert_int_equal(wire_enum_value(d, "Sent"), 1);
    assert_int_equal(wire_enum_value(d, "DELIVERY_STATE_SENT"), 1);
    assert_int_equal(wire_enum_value(d, "lost"), -1);
    assert_int_equal(wire_enum_value(d, ""), -1);
}

static void traceparents_are_well_formed_and_differ(void **state)
{
    (void)state;
    char a[56], b[56];
    wire_new_traceparent(a);
    wire_new_traceparent(b);
    assert_int_equal(strlen(a), 55);
    assert_memory_equal(a, "00-", 3);
    assert_string_equal(a + 52, "-01");
    assert_int_equal(strspn(a + 3, "0123456789abcdef"), 32);
    assert_int_equal(strspn(a + 36, "0123456789abcdef"), 16);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_survives_the_way),
        cmocka_unit_test(packing_appends_and_has_a_maximum),
        cmocka_unit_test(an_empty_message_packs_to_nothing_and_back),
        cmocka_unit_test(strings_must_be_clean_and_short),
        cmocka_unit_test(counts_and_ids_are_bounded),
        cmocka_unit_test(versions_and_contexts_are_checked),
        cmocka_unit_test(work_names_one_kind_of_work),
        cmocka_unit_test(summaries_are_checked_to_the_last_mover),
        cmocka_unit_test(enums_are_strict_in_requests_and_not_in_replies),
        cmocka_unit_test(unknown_fields_are_refused_in_requests_alone),
        cmocka_unit_test(a_nul_inside_a_string_cuts_it_before_the_checks),
        cmocka_unit_test(amplification_ends_in_an_error),
        cmocka_unit_test(damaged_messages_never_crash),
        cmocka_unit_test(no_message_contains_itself),
        cmocka_unit_test(json_prints_every_field_by_its_proto_name),
        cmocka_unit_test(a_field_of_number_zero_is_refused),
        cmocka_unit_test(json_prints_bytes_in_base64_and_unknown_enums_as_numbers),
        cmocka_unit_test(enums_have_short_names),
        cmocka_unit_test(traceparents_are_well_formed_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
