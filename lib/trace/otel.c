/*
 * OpenTelemetry's environment variables, those that say something to an
 * exporter of traces by OTLP/HTTP.
 *
 * An operator who has set them for all his programs need not set ours. Where
 * both are there ours wins: it is the nearer one. As the specification asks, an
 * empty variable counts as none, and one that cannot be read is warned of and
 * passed over: it must not keep mails from going out.
 *
 * What it does not do: gRPC and binary protobuf (the collector takes JSON on the
 * same port as HTTP's protobuf), limits of attributes, batching's own settings.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/log/log.h"
#include "lib/trace/internal.h"

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* The one for traces, else the one for all signals. */
static const char *env_of(const char *traces, const char *all)
{
    const char *value = env(traces);
    return value ? value : env(all);
}

static void passed_over(const char *name, const char *why)
{
    log_warn("", "variable passed over", "name=%s reason=%s", name, why);
}

/* --- lists: key=value,key=value with %-escapes ---------------------------------------- */

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    return isxdigit((unsigned char)c) ? (int)(strchr(digits, tolower((unsigned char)c)) - digits) : -1;
}

static char *unescape(struct otel_env *o, const char *from, size_t n)
{
    char *out = o->text + o->n_text, *to = out;
    while (n > 0 && strchr(" \t", from[0]))
        from++, n--;
    while (n > 0 && strchr(" \t", from[n - 1]))
        n--;
    for (size_t i = 0; i < n; i++) {
        if (from[i] == '%' && i + 2 < n && hex(from[i + 1]) >= 0 && hex(from[i + 2]) >= 0) {
            *to++ = (char)(hex(from[i + 1]) * 16 + hex(from[i + 2]));
            i += 2;
        } else {
            *to++ = from[i];
        }
    }
    *to++ = '\0';
    o->n_text = (size_t)(to - o->text);
    return out;
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return true;
    return false;
}

/* False: nothing of the list is taken, as the specification has it. */
static bool read_pairs(struct otel_env *o, const char *list, struct otel_pair *out, size_t *n, size_t max)
{
    size_t count = 0;
    if (strlen(list) >= OTEL_TEXT_BYTES / 2) /* both lists fit into text, with their NULs */
        return false;
    while (*list) {
        size_t bytes = strcspn(list, ",");
        const char *equals = memchr(list, '=', bytes);
        if (bytes > strspn(list, " \t")) {
            if (!equals || equals == list || count == max)
                return false;
            out[count].key = unescape(o, list, (size_t)(equals - list));
            out[count].value = unescape(o, equals + 1, bytes - (size_t)(equals + 1 - list));
            if (!out[count].key[0] || has_control(out[count].key) || has_control(out[count].value))
                return false;
            count++;
        }
        list += bytes + (list[bytes] == ',');
    }
    *n = count;
    return true;
}

static void read_attributes(struct otel_env *o)
{
    const char *list = env("OTEL_RESOURCE_ATTRIBUTES");
    if (list && !read_pairs(o, list, o->attributes, &o->n_attributes, OTEL_ATTRIBUTES))
        passed_over("OTEL_RESOURCE_ATTRIBUTES", "not a list of up to 32 key=value in 2 kB");
    for (size_t i = 0; i < o->n_attributes; i++)
        if (strcmp(o->attributes[i].key, "service.name") == 0)
            o->service = o->attributes[i].value;
    if (env("OTEL_SERVICE_NAME"))
        o->service = env("OTEL_SERVICE_NAME");
}

static void read_headers(struct otel_env *o)
{
    const char *list = env_of("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
    if (list && !read_pairs(o, list, o->headers, &o->n_headers, OTEL_HEADERS))
        passed_over("OTEL_EXPORTER_OTLP_HEADERS", "not a list of up to 16 key=value in 2 kB");
}

/* --- where to ------------------------------------------------------------------------- */

/* The one for traces is a whole URL; to the one for all signals the path is added. */
static void read_url(struct otel_env *o)
{
    const char *whole = env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), *base = env("OTEL_EXPORTER_OTLP_ENDPOINT");
    const char *url = whole ? whole : base;
    size_t n = url ? strlen(url) : 0;
    if (!url)
        return;
    if ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) || n + 16 > sizeof o->url) {
        passed_over(whole ? "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" : "OTEL_EXPORTER_OTLP_ENDPOINT",
                    "not http:// or https://");
        return;
    }
    while (!whole && n > 0 && url[n - 1] == '/')
        n--;
    (void)snprintf(o->url, sizeof o->url, "%.*s%s", (int)n, url, whole ? "" : "/v1/traces");
}

static void read_protocol(void)
{
    const char *p = env_of("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
    if (p && strcmp(p, "http/json") != 0)
        passed_over("OTEL_EXPORTER_OTLP_PROTOCOL",
                    "spans are sent as http/json, which collectors take where they take http/protobuf");
}

/* --- which ------------------------------------------------------------------------------- */

/* What a caller's flag says is always followed: by that flag userstream leaves out most batches. */
static void read_sampler(struct otel_env *o)
{
    const char *sampler = env("OTEL_TRACES_SAMPLER"), *arg = env("OTEL_TRACES_SAMPLER_ARG");
    char *end;
    o->ratio = 1;
    if (!sampler || strstr(sampler, "always_on"))
        return;
    if (strcmp(sampler, "always_off") == 0) {
        o->off = true;
    } else if (strcmp(sampler, "parentbased_always_off") == 0) {
        o->ratio = 0;
    } else if (strcmp(sampler, "traceidratio") == 0 || strcmp(sampler, "parentbased_traceidratio") == 0) {
        double ratio = arg ? strtod(arg, &end) : 1;
        if (arg && (*end || !(ratio >= 0 && ratio <= 1)))
            passed_over("OTEL_TRACES_SAMPLER_ARG", "not a number of 0 to 1");
        else
            o->ratio = ratio;
    } else {
        passed_over("OTEL_TRACES_SAMPLER", "unknown here");
    }
}

/* By the id's last seven bytes, as W3C's second level and OpenTelemetry have it, so that others who begin
 * traces by the same ratio agree. */
bool otel_begins(const char *trace_id, double ratio)
{
    char last[15] = "";
    memcpy(last, trace_id + 18, 14);
    return strtoull(last, NULL, 16) >= (unsigned long long)((1 - ratio) * 72057594037927936.0); /* 2^56 */
}

void otel_read(struct otel_env *o)
{
    const char *disabled = env("OTEL_SDK_DISABLED"), *exporter = env("OTEL_TRACES_EXPORTER");
    memset(o, 0, sizeof *o);
    read_sampler(o);
    o->off = o->off || (disabled && strcasecmp(disabled, "true") == 0) ||
             (exporter && strcmp(exporter, "none") == 0);
    read_url(o);
    read_attributes(o);
    if (o->url[0])
        read_protocol();
    read_headers(o);
}
