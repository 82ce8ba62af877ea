/*
 * The methods that are the door's own: their paths, and grpc.health.v1.
 * Health is answered without a token: orchestrators have none.
 */
#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "lib/grpc/internal.h"

#define ARENA_BYTES 16384

static void health_check(struct grpc_call *c, const void *data, size_t bytes)
{
    grpc_health_message(c, data, bytes, false);
}

static void health_watch(struct grpc_call *c, const void *data, size_t bytes)
{
    grpc_health_message(c, data, bytes, true);
}

static const struct grpc_builtin table[] = {
    {"/grpc.health.v1.Health/Check", "Health/Check", true, false, health_check},
    {"/grpc.health.v1.Health/Watch", "Health/Watch", true, false, health_watch},
    {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "Reflection", false, true,
     grpc_reflection_message},
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "Reflection", false, true,
     grpc_reflection_message},
};

const struct grpc_builtin *grpc_builtin(const char *path)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].path, path) == 0)
            return &table[i];
    return NULL;
}

static void send_status(struct grpc_call *c, int status)
{
    const uint8_t message[2] = {1 << 3, (uint8_t)status}; /* HealthCheckResponse.status */
    grpc_call_send(c, message, sizeof message);
}

void grpc_health_message(struct grpc_call *c, const void *data, size_t bytes, bool watch)
{
    struct fp_grpc_server *s = c->conn->server;
    struct fp_arena *arena = arena_new(ARENA_BYTES);
    struct fp_err err;
    const Grpc__Health__V1__HealthCheckRequest *q =
        wire_unpack(&grpc__health__v1__health_check_request__descriptor, data, bytes, arena, &err);
    bool known = q != NULL && (q->service[0] == '\0' || strcmp(q->service, s->o.service) == 0 ||
                               strcmp(q->service, "grpc.health.v1.Health") == 0);
    int status = s->was_drained ? 2 : 1;
    if (q == NULL) {
        grpc_call_end(c, err.code, err.msg);
    } else if (watch) {
        grpc_call_stays(c);
        send_status(c, known ? status : 3);
        if (s->was_drained)
            grpc_call_end(c, FP_UNAVAILABLE, GRPC_GOES_AWAY);
        TAILQ_INSERT_TAIL(&s->health, c, wlink);
        c->health_watch = true;
    } else if (known) {
        send_status(c, status);
        grpc_call_end(c, FP_OK, "");
    } else {
        grpc_call_end(c, FP_NOT_FOUND, "this server has no such service");
    }
    arena_free(arena);
}

void grpc_health_drain(struct fp_grpc_server *s)
{
    struct grpc_call *c;
    TAILQ_FOREACH (c, &s->health, wlink) {
        send_status(c, 2);
        grpc_call_end(c, FP_UNAVAILABLE, GRPC_GOES_AWAY);
    }
}
