/* Messages of the bus and of both doors: unpacked, checked, and written as JSON. */
#include "foliopost/v1/job_service.pb-c.h"
#include "foliopost/v1/pipeline.pb-c.h"
#include "lib/base/mem.h"
#include "lib/wire/wire.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const messages[] = {
        &foliopost__v1__work__descriptor,
        &foliopost__v1__user_batch__descriptor,
        &foliopost__v1__summary_batch__descriptor,
        &foliopost__v1__submit_job_request__descriptor,
    };
    struct fp_arena *arena = arena_new(1 << 20);
    struct bytes b = {data, data + size};
    const ProtobufCMessageDescriptor *d = messages[pick(&b, sizeof messages / sizeof messages[0])];
    struct fp_str packed, json;
    struct fp_err err;
    const ProtobufCMessage *m = wire_unpack(d, b.at, (size_t)(b.end - b.at), arena, &err);

    str_init(&packed, 1 << 20);
    str_init(&json, 1 << 20);
    if (m) { /* what passed once passes again */
        if (wire_check(m, &err) != 0 || wire_pack(m, 1 << 20, &packed, &err) != 0 ||
            !wire_unpack(d, packed.data, packed.len, arena, &err))
            BROKEN();
        wire_print_json(m, false, &json);
    }
    str_fini(&packed);
    str_fini(&json);
    arena_free(arena);
    return 0;
}
