/*
 * The client of the bus's door: one REQ socket with a connection to every address of the
 * server's name. A scheduler that restarts in the middle of a call gets the
 * request again from NNG, which is why every method is safe to repeat.
 *
 * Who is not connected within CONNECT_MS is told so at once, and not after the
 * whole deadline: a scheduler that does not run is the commonest fault.
 */
#include "lib/rpc/client.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/bus/dialers.h"

#define CONNECT_MS 3000  /* longer than NNG's slowest redial (2 s) */
#define RESEND_MS  10000 /* for a server that lost the request and kept the connection */
#define RESOLVE_MS 5000

struct bus_client {
    nng_socket socket;
    nng_ctx ctx;
    nng_aio *aio;
    struct fp_dialers *dialers;
    char *url, *token;
};

static void *open_client(const char *url, const char *token, const struct bus_tls *tls, struct fp_err *err)
{
    nng_socket s;
    endpoint_init();
    if (bus_check_urls(url, false, err) != 0)
        return NULL;
    endpoint_must(nng_req0_open(&s), "nng_req0_open");
    endpoint_must(nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, WIRE_MAX_RPC_BYTES), "receive limit");
    endpoint_must(nng_socket_set_ms(s, NNG_OPT_REQ_RESENDTIME, RESEND_MS), "resend time");
    struct fp_dialers *dialers = dialers_open(s, "rpc", url, endpoint_tls_of(url, tls), RESOLVE_MS, err);
    if (dialers == NULL) {
        nng_close(s); /* never connected: safe also in NNG 1.5 */
        return NULL;
    }
    struct bus_client *c = mem_alloc(sizeof *c);
    c->socket = s;
    c->dialers = dialers;
    endpoint_must(nng_ctx_open(&c->ctx, s), "nng_ctx_open");
    endpoint_must(nng_aio_alloc(&c->aio, NULL, NULL), "nng_aio_alloc");
    c->url = mem_strdup(url);
    c->token = mem_strdup(token);
    return c;
}

static void close_client(void *door)
{
    struct bus_client *c = door;
    dialers_close(c->dialers); /* the socket stays: closing it can hang in NNG 1.5 */
    nng_aio_free(c->aio);
    mem_free(c->url);
    mem_free(c->token);
    mem_free(c);
}

static int remaining_ms(int64_t deadline_us)
{
    int64_t left_us = deadline_us - clock_mono_us();
    return left_us > 0 ? (int)(left_us / 1000) + 1 : 0;
}

/* Sends the packed envelope and waits for what comes back. */
static int exchange(struct bus_client *c, const struct fp_str *packed, int64_t deadline_us, nng_msg **reply)
{
    nng_msg *m;
    endpoint_must(nng_msg_alloc(&m, 0), "nng_msg_alloc");
    endpoint_must(nng_msg_append(m, packed->data, packed->len), "nng_msg_append");
    nng_aio_set_timeout(c->aio, remaining_ms(deadline_us));
    nng_aio_set_msg(c->aio, m);
    nng_ctx_send(c->ctx, c->aio);
    nng_aio_wait(c->aio);
    int rv = nng_aio_result(c->aio);
    nng_aio_set_msg(c->aio, NULL);
    if (rv != 0) {
        nng_msg_free(m);
        return rv;
    }
    nng_aio_set_timeout(c->aio, remaining_ms(deadline_us));
    nng_ctx_recv(c->ctx, c->aio);
    nng_aio_wait(c->aio);
    rv = nng_aio_result(c->aio);
    if (rv == 0)
        *reply = nng_aio_get_msg(c->aio);
    nng_aio_set_msg(c->aio, NULL);
    return rv;
}

static int no_answer(struct bus_client *c, const char *method, int rv, int deadline_ms, struct fp_err *err)
{
    if (rv != NNG_ETIMEDOUT)
        return endpoint_err(err, rv, "%s at %s", method, c->url);
    if (dialers_up(c->dialers) > 0)
        return err_set(err, FP_DEADLINE_EXCEEDED, "%s: no answer from %s within %d ms", method, c->url,
                       deadline_ms);
    if (dialers_were_up(c->dialers))
        return err_set(err, FP_UNAVAILABLE, "%s: the connection to %s was lost", method, c->url);
    return err_set(err, FP_UNAVAILABLE, "nobody answers at %s: is the scheduler running?", c->url);
}

/* Connects, sends, receives. */
static nng_msg *connect_and_exchange(struct bus_client *c, const struct client_call *call,
                                     const struct fp_str *packed, struct fp_err *err)
{
    int64_t deadline_us = clock_mono_us() + call->deadline_ms * INT64_C(1000);
    nng_msg *reply = NULL;
    int rv = NNG_ETIMEDOUT;
    if (dialers_wait(c->dialers, call->deadline_ms < CONNECT_MS ? call->deadline_ms : CONNECT_MS))
        rv = exchange(c, packed, deadline_us, &reply);
    if (rv != 0)
        no_answer(c, call->method, rv, call->deadline_ms, err);
    return reply;
}

static int pack_envelope(const struct bus_client *c, const struct client_call *call, char *id,
                         struct fp_str *packed, struct fp_err *err)
{
    Foliopost__V1__RpcRequest envelope = FOLIOPOST__V1__RPC_REQUEST__INIT;
    envelope.schema_version = WIRE_SCHEMA_VERSION;
    envelope.method = (char *)call->method;
    envelope.request_id = id;
    envelope.deadline_ms = call->deadline_ms;
    envelope.token = c->token;
    envelope.traceparent = (char *)call->traceparent;
    envelope.payload.data = (uint8_t *)call->payload->data;
    envelope.payload.len = call->payload->len;
    return wire_pack(&envelope.base, WIRE_MAX_RPC_BYTES, packed, err);
}

static ProtobufCMessage *read_reply(const struct client_call *call, const char *id, const void *data,
                                    size_t bytes, struct fp_err *err)
{
    const Foliopost__V1__RpcReply *r =
        wire_unpack(&foliopost__v1__rpc_reply__descriptor, data, bytes, call->arena, err);
    if (r == NULL) {
        err->code = FP_INTERNAL; /* the server's fault, not of our argument */
        err_prefix(err, "%s: the answer is not valid", call->method);
        return NULL;
    }
    if (r->code != FP_OK) {
        err_set(err, r->code > 0 && r->code <= FP_UNAUTHENTICATED ? (enum fp_code)r->code : FP_UNKNOWN, "%s",
                r->message);
        return NULL;
    }
    if (strcmp(r->request_id, id) != 0) {
        err_set(err, FP_INTERNAL, "%s: the answer is to another call", call->method);
        return NULL;
    }
    return client_unpack(call, r->payload.data, r->payload.len, err);
}

static ProtobufCMessage *call_client(void *door, const struct client_call *call, struct fp_err *err)
{
    struct bus_client *c = door;
    struct fp_str packed;
    char id[37];
    ProtobufCMessage *m = NULL;
    text_new_uuid(id);
    str_init(&packed, WIRE_MAX_RPC_BYTES + 1024);
    nng_msg *msg =
        pack_envelope(c, call, id, &packed, err) == 0 ? connect_and_exchange(c, call, &packed, err) : NULL;
    if (msg != NULL) {
        m = read_reply(call, id, nng_msg_body(msg), nng_msg_len(msg), err);
        nng_msg_free(msg);
    }
    str_fini(&packed);
    return m;
}

const struct client_door client_bus = {open_client, call_client, close_client};
