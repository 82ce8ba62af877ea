/*
 * CPU of one mail: template and values to the bytes that go out, by the fixtures
 * of the golden mails; one language after the other.
 *
 *   render_bench [ROUNDS] [TEMPLATE]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/render/fixtures.h"

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void stop(const struct fp_err *err)
{
    fprintf(stderr, "render_bench: %s\n", err->msg);
    exit(1);
}

/* The same buffer again and again would hide what the mailer pays for. */
static size_t render_once(const struct fp_templates *t, struct fixture *f)
{
    struct fp_err err = {0};
    struct render_info info;
    struct render_sender sender = fixture_sender();
    struct render_extras extras = fixture_extras();
    struct fp_str out;
    str_init(&out, 0);
    if (render_mail(t, &sender, &extras, &f->job, &f->item, &out, &info, &err) != 0)
        stop(&err);
    size_t n = out.len;
    str_fini(&out);
    return n;
}

/* A function of its own: script/instructions counts what is done in it, and not what a first mail costs. */
__attribute__((noinline)) static void render_again(const struct fp_templates *t, struct fixture *f, int times)
{
    for (int i = 0; i < times; i++)
        render_once(t, f);
}

/* The best of ten parts: what else the machine does only ever adds. */
static void measure(const struct fp_templates *t, const struct fixture_case *c, const char *template,
                    int rounds)
{
    static struct fixture f;
    double best = 1e30;
    c->fill(&f);
    f.job.template_name = (char *)template;
    size_t bytes = render_once(t, &f);
    for (int part = 0; part < 10; part++) {
        double begin = cpu_us();
        render_again(t, &f, rounds / 10);
        double each = (cpu_us() - begin) / (rounds / 10 ? rounds / 10 : 1);
        best = each < best ? each : best;
    }
    printf("%-12s %7zu bytes %7.1f us\n", c->name, bytes, best);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5000;
    const char *template = argc > 2 ? argv[2] : "statement";
    struct fp_err err = {0};
    const struct templates_from from = fixture_templates();
    struct fp_templates *t = templates_load(&from, &err);
    if (!t)
        stop(&err);
    for (size_t i = 0; i < sizeof fixture_cases / sizeof fixture_cases[0]; i++)
        measure(t, &fixture_cases[i], template, rounds);
    templates_free(t);
    return 0;
}
