/*
 * Short names of enum values: "sent" for DELIVERY_STATE_SENT, as the ledger's
 * tables and people on a command line write them.
 *
 * protobuf wants every value's name to begin with its enum's; the prefix is
 * cut and the rest put in lower case, once, at the first use. The names live
 * as long as the process.
 */
#include <ctype.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "lib/wire/wire.h"

static const ProtobufCEnumDescriptor *const enums[] = {
    &foliopost__v1__job_kind__descriptor,
    &foliopost__v1__job_state__descriptor,
    &foliopost__v1__ambiguous_policy__descriptor,
    &foliopost__v1__delivery_state__descriptor,
    &foliopost__v1__suppression_reason__descriptor,
    &foliopost__v1__skip_reason__descriptor,
    &foliopost__v1__summary_flag__descriptor,
    &foliopost__v1__event_kind__descriptor,
    &foliopost__v1__span_kind__descriptor,
    &foliopost__v1__ambiguous_resolution__descriptor,
    &foliopost__v1__overlap_policy__descriptor,
    &foliopost__v1__firing_outcome__descriptor,
    &foliopost__v1__role__descriptor,
};

#define N_ENUMS    (sizeof enums / sizeof enums[0])
#define MAX_VALUES 16
#define MAX_NAME   32

static char names[N_ENUMS][MAX_VALUES][MAX_NAME];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Length of "DELIVERY_STATE_" for the enum DeliveryState. */
static size_t prefix_length(const ProtobufCEnumDescriptor *d)
{
    size_t n = 1; /* the underscore at the end */
    for (const char *s = d->short_name; *s != '\0'; s++)
        n += isupper((unsigned char)*s) && s != d->short_name ? 2 : 1;
    return n;
}

static void fill_names(void)
{
    for (size_t e = 0; e < N_ENUMS; e++) {
        size_t skip = prefix_length(enums[e]);
        if (enums[e]->n_values > MAX_VALUES)
            fp_panic("enum %s has %u values", enums[e]->name, enums[e]->n_values);
        for (unsigned v = 0; v < enums[e]->n_values; v++) {
            const char *full = enums[e]->values[v].name;
            if (strlen(full) <= skip || strlen(full) - skip >= MAX_NAME)
                fp_panic("enum value %s does not begin with its enum's name, or is too long", full);
            for (size_t i = 0; full[skip + i] != '\0'; i++)
                names[e][v][i] = (char)tolower((unsigned char)full[skip + i]);
        }
    }
}

static size_t index_of(const ProtobufCEnumDescriptor *d)
{
    pthread_once(&once, fill_names);
    for (size_t e = 0; e < N_ENUMS; e++)
        if (enums[e] == d)
            return e;
    fp_panic("enum %s is not in the table of lib/wire/enums.c", d->name);
}

const char *wire_enum_name(const ProtobufCEnumDescriptor *d, int value)
{
    size_t e = index_of(d);
    for (unsigned v = 0; v < d->n_values; v++)
        if (d->values[v].value == value)
            return names[e][v];
    return "";
}

int wire_enum_value(const ProtobufCEnumDescriptor *d, const char *name)
{
    size_t e = index_of(d);
    for (unsigned v = 0; v < d->n_values; v++)
        if (strcasecmp(names[e][v], name) == 0 || strcmp(d->values[v].name, name) == 0)
            return d->values[v].value;
    return -1;
}
