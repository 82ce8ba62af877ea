/*
 * Counters, gauges and histograms of the process: one table under one lock.
 *
 * A series is found by a hash of its name and labels; what is made stays until
 * the process ends. The table has a maximum, since a label made from foreign
 * data by mistake would else grow without end: series past it are dropped, and
 * foliopost_metrics_dropped_total counts the calls that were. The first call
 * on a name decides its kind; rendering sorts, so that the lines of one name
 * stand together as the format asks for.
 */
#include "lib/metrics/metrics.h"

#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/metrics/table.h"

#define MAX_HELPS  256
#define HASH_SLOTS (2 * METRICS_MAX_SERIES) /* short probes */

/* Seconds: from a statement on a warm cache to a mail server that hangs. */
static const double bounds_s[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                  0.5,   1,      2.5,   5,    10,    30,   60};
#define N_BOUNDS (sizeof bounds_s / sizeof bounds_s[0])

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct series {
    char *name;
    char *labels;
    enum kind kind;
    double value; /* of a histogram: the sum */
    uint64_t count;
    uint64_t *buckets; /* N_BOUNDS, each with its own values only; NULL for the other kinds */
};

struct help {
    char *name;
    char *text;
};

static struct {
    pthread_mutex_t lock;
    struct series *series[METRICS_MAX_SERIES];
    size_t n_series;
    uint16_t slots[HASH_SLOTS]; /* index in series, plus 1 */
    struct help helps[MAX_HELPS];
    size_t n_helps;
    uint64_t dropped;
} the = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint32_t hash(const char *name, const char *labels)
{
    uint32_t h = 2166136261u;

    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    for (const char *p = labels; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return h;
}

/* The slot of a series: its own, or the empty one where it would be. */
static uint16_t *find_slot(const char *name, const char *labels)
{
    for (uint32_t i = hash(name, labels);; i++) {
        uint16_t *slot = &the.slots[i % HASH_SLOTS];
        if (*slot == 0)
            return slot;
        const struct series *s = the.series[*slot - 1];
        if (strcmp(s->name, name) == 0 && strcmp(s->labels, labels) == 0)
            return slot;
    }
}

/* The series, made when it is new; NULL when the table is full. */
static struct series *need_series(const char *name, const char *labels, enum kind kind)
{
    uint16_t *slot = find_slot(name, labels ? labels : "");

    if (*slot)
        return the.series[*slot - 1];
    if (the.n_series == METRICS_MAX_SERIES) {
        the.dropped++;
        return NULL;
    }
    struct series *s = mem_alloc(sizeof *s);
    s->name = mem_strdup(name);
    s->labels = mem_strdup(labels ? labels : "");
    s->kind = kind;
    if (kind == HISTOGRAM)
        s->buckets = mem_array(N_BOUNDS, sizeof s->buckets[0]);
    the.series[the.n_series++] = s;
    *slot = (uint16_t)the.n_series;
    return s;
}

void metrics_add(const char *name, const char *labels, double n)
{
    pthread_mutex_lock(&the.lock);
    struct series *s = need_series(name, labels, COUNTER);
    if (s)
        s->value += n;
    pthread_mutex_unlock(&the.lock);
}

void metrics_set(const char *name, const char *labels, double v)
{
    pthread_mutex_lock(&the.lock);
    struct series *s = need_series(name, labels, GAUGE);
    if (s)
        s->value = v;
    pthread_mutex_unlock(&the.lock);
}

void metrics_observe_s(const char *name, const char *labels, double seconds)
{
    size_t i = 0;

    while (i < N_BOUNDS && seconds > bounds_s[i])
        i++;
    pthread_mutex_lock(&the.lock);
    struct series *s = need_series(name, labels, HISTOGRAM);
    if (s && s->buckets) {
        s->value += seconds;
        s->count++;
        if (i < N_BOUNDS)
            s->buckets[i]++;
    }
    pthread_mutex_unlock(&the.lock);
}

static struct help *find_help(const char *name)
{
    for (size_t i = 0; i < the.n_helps; i++)
        if (strcmp(the.helps[i].name, name) == 0)
            return &the.helps[i];
    return NULL;
}

void metrics_help(const char *name, const char *help)
{
    pthread_mutex_lock(&the.lock);
    struct help *h = find_help(name);
    if (!h && the.n_helps < MAX_HELPS) {
        h = &the.helps[the.n_helps++];
        h->name = mem_strdup(name);
    }
    if (h) {
        mem_free(h->text);
        h->text = mem_strdup(help);
    }
    pthread_mutex_unlock(&the.lock);
}

double metrics_value(const char *name, const char *labels)
{
    pthread_mutex_lock(&the.lock);
    const uint16_t *slot = find_slot(name, labels ? labels : "");
    double v = *slot ? the.series[*slot - 1]->value : 0;
    pthread_mutex_unlock(&the.lock);
    return v;
}

void metrics_reset(void)
{
    pthread_mutex_lock(&the.lock);
    for (size_t i = 0; i < the.n_series; i++) {
        struct series *s = the.series[i];
        mem_free(s->name);
        mem_free(s->labels);
        mem_free(s->buckets);
        mem_free(s);
    }
    for (size_t i = 0; i < the.n_helps; i++) {
        mem_free(the.helps[i].name);
        mem_free(the.helps[i].text);
    }
    memset(the.slots, 0, sizeof the.slots);
    memset(the.helps, 0, sizeof the.helps);
    the.n_series = the.n_helps = 0;
    the.dropped = 0;
    pthread_mutex_unlock(&the.lock);
}

/* --- rendering: https://prometheus.io/docs/instrumenting/exposition_formats/ --- */

static int by_name(const void *a, const void *b)
{
    const struct series *x = *(struct series *const *)a, *y = *(struct series *const *)b;
    int d = strcmp(x->name, y->name);

    return d ? d : strcmp(x->labels, y->labels);
}

static void render_head(struct fp_str *out, const char *name, const char *type)
{
    const struct help *h = find_help(name);
    const char *text = h ? h->text : metrics_table_help(name);

    if (*text)
        str_printf(out, "# HELP %s %s\n", name, text);
    str_printf(out, "# TYPE %s %s\n", name, type);
}

static void render_line(struct fp_str *out, const char *name, const char *labels, double v)
{
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";

    str_printf(out, "%s%s%s%s %.15g\n", name, open, labels, close, v);
}

static void render_histogram(struct fp_str *out, const struct series *s)
{
    const char *comma = *s->labels ? "," : "", *open = *s->labels ? "{" : "", *close = *s->labels ? "}" : "";
    uint64_t n = 0;

    for (size_t i = 0; i < N_BOUNDS; i++) {
        n += s->buckets[i];
        str_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", s->name, s->labels, comma, bounds_s[i],
                   (unsigned long long)n);
    }
    str_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", s->name, s->labels, comma,
               (unsigned long long)s->count);
    str_printf(out, "%s_sum%s%s%s %.15g\n", s->name, open, s->labels, close, s->value);
    str_printf(out, "%s_count%s%s%s %llu\n", s->name, open, s->labels, close, (unsigned long long)s->count);
}

static void render_series(struct fp_str *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    struct series *sorted[METRICS_MAX_SERIES];

    memcpy(sorted, the.series, the.n_series * sizeof sorted[0]);
    qsort(sorted, the.n_series, sizeof sorted[0], by_name);
    for (size_t i = 0; i < the.n_series; i++) {
        const struct series *s = sorted[i];
        if (i == 0 || strcmp(s->name, sorted[i - 1]->name) != 0)
            render_head(out, s->name, types[s->kind]);
        if (s->kind == HISTOGRAM)
            render_histogram(out, s);
        else
            render_line(out, s->name, s->labels, s->value);
    }
}

static double resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return 0;
    if (fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 3; /* ".", ".." and the folder itself */
}

static double start_time_s;

/* Before main(): close enough to the process' start, and no parsing of /proc. */
__attribute__((constructor)) static void note_start(void)
{
    start_time_s = (double)clock_wall_us() / FP_US_PER_S;
}

static double cpu_s(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void render_one(struct fp_str *out, const char *name, const char *type, double v)
{
    render_head(out, name, type);
    render_line(out, name, "", v);
}

void metrics_render(struct fp_str *out)
{
    pthread_mutex_lock(&the.lock);
    render_series(out);
    render_one(out, "foliopost_metrics_dropped_total", "counter", (double)the.dropped);
    render_one(out, "process_resident_memory_bytes", "gauge", resident_bytes());
    render_one(out, "process_open_fds", "gauge", open_fds());
    render_one(out, "process_cpu_seconds_total", "counter", cpu_s());
    render_one(out, "process_start_time_seconds", "gauge", start_time_s);
    pthread_mutex_unlock(&the.lock);
}
