/*
 * Two runs of the browser: one measures how high the page is at this width, one
 * takes its picture. It is measured inside a frame, because a window without a
 * screen is never narrower than 500 pixels for scripts.
 *
 * The page, which holds a person's name and figures, lies in a folder of its own
 * that nobody else can enter, with all that the browser keeps; it is deleted
 * whatever happens.
 */
#define _GNU_SOURCE /* nftw, mkdtemp, environ */
#include "cli/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"

#define RUN_MS        60000 /* of one run, which takes two seconds */
#define MAX_HEIGHT_PX 16000
#define MAX_DOM_BYTES (4 << 20)
#define MAX_ARGS      20

static const char say_height[] =
    "<script>parent.postMessage(document.documentElement.scrollHeight,'*')</script>";
static const char frame[] =
    "<!doctype html><iframe src=\"measured.html\" width=\"%d\" height=\"100\" style=\"border:0\"></iframe>"
    "<script>addEventListener('message',e=>document.documentElement.setAttribute('data-height',e.data))</script>";

struct work {
    const struct picture *p;
    char folder[PATH_MAX], program[PATH_MAX];
};

/* --- files ------------------------------------------------------------------------------- */

static int put(const struct work *w, const char *name, const char *text, const char *more, struct fp_err *err)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    FILE *f = fopen(path, "we");
    bool good = f != NULL && fputs(text, f) >= 0 && fputs(more, f) >= 0;
    if (f == NULL || fclose(f) != 0 || !good)
        return err_set(err, FP_UNKNOWN, "%s: %s", path, strerror(errno));
    return 0;
}

static int put_pages(const struct work *w, const struct fp_str *html, struct fp_err *err)
{
    char outer[sizeof frame + 16];
    snprintf(outer, sizeof outer, frame, w->p->width_px);
    if (put(w, "page.html", html->data, "", err) != 0 ||
        put(w, "measured.html", html->data, say_height, err) != 0)
        return -1;
    return put(w, "frame.html", outer, "", err);
}

static int remove_one(const char *path, const struct stat *s, int flag, struct FTW *at)
{
    (void)s;
    (void)flag;
    (void)at;
    return remove(path);
}

static int make_folder(struct work *w, struct fp_err *err)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(w->folder, sizeof w->folder, "%s/foliopost.XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
    if (mkdtemp(w->folder) != NULL)
        return 0;
    err_set(err, FP_UNKNOWN, "%s: %s", w->folder, strerror(errno));
    w->folder[0] = '\0';
    return -1;
}

/* --- the browser --------------------------------------------------------------------------- */

static bool in_path(const char *name, char out[PATH_MAX])
{
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        int n = (int)strcspn(at, ":");
        if (snprintf(out, PATH_MAX, "%.*s/%s", n, at, name) < PATH_MAX && access(out, X_OK) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

static int find_browser(struct work *w, struct fp_err *err)
{
    static const char *const names[] = {"chromium", "chromium-browser", "google-chrome",
                                        "google-chrome-stable"};
    const char *asked = w->p->browser;
    if (strchr(asked, '/') != NULL) {
        snprintf(w->program, sizeof w->program, "%s", asked);
        return access(asked, X_OK) == 0
                   ? 0
                   : err_set(err, FP_UNAVAILABLE, "--browser %s: %s", asked, strerror(errno));
    }
    if (asked[0] != '\0')
        return in_path(asked, w->program)
                   ? 0
                   : err_set(err, FP_UNAVAILABLE, "--browser: no \"%s\" in PATH", asked);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (in_path(names[i], w->program))
            return 0;
    return err_set(
        err, FP_UNAVAILABLE,
        "--png needs a Chromium: there is none in PATH (Debian: apt install chromium). Name one by "
        "--browser, or look at the output of --html in a browser of yours");
}

/* What the child says until it ends, or the time is over. */
static void read_all(int fd, struct fp_str *out)
{
    int64_t until_us = clock_mono_us() + RUN_MS * INT64_C(1000);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left_ms = (until_us - clock_mono_us()) / 1000;
        if (left_ms <= 0 || poll(&p, 1, (int)left_ms) <= 0)
            return;
        char *room = str_room(out, 4096);
        ssize_t n = room != NULL ? read(fd, room, 4096) : 0;
        if (n <= 0)
            return;
        str_grew(out, (size_t)n);
    }
}

/* In a process group of its own, so that its helpers end with it. */
static int start(char *const argv[], pid_t *pid, int *out, struct fp_err *err)
{
    int ends[2];
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, FP_UNKNOWN, "pipe: %s", strerror(errno));
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    int rc = posix_spawn(pid, argv[0], &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    *out = ends[0];
    if (rc == 0)
        return 0;
    close(ends[0]);
    return err_set(err, FP_UNAVAILABLE, "%s: %s", argv[0], strerror(rc));
}

/* One run on a page of the folder, with one more argument. */
static int run(const struct work *w, const char *what, int height_px, const char *page, struct fp_str *said,
               struct fp_err *err)
{
    char size[40], profile[PATH_MAX + 32], url[PATH_MAX + 48];
    char *argv[MAX_ARGS] = {(char *)w->program,
                            (char *)"--headless",
                            (char *)"--disable-gpu",
                            (char *)"--hide-scrollbars",
                            (char *)"--no-first-run",
                            (char *)"--disable-background-networking",
                            (char *)"--virtual-time-budget=2000"};
    int n = 7, fd = -1, status = 0;
    pid_t pid;
    snprintf(size, sizeof size, "--window-size=%d,%d", w->p->width_px, height_px);
    snprintf(profile, sizeof profile, "--user-data-dir=%s/profile", w->folder);
    snprintf(url, sizeof url, "file://%s/%s", w->folder, page);
    argv[n++] = size;
    argv[n++] = profile;
    argv[n++] = (char *)(w->p->dark ? "--blink-settings=preferredColorScheme=0"
                                    : "--blink-settings=preferredColorScheme=1");
    if (geteuid() == 0) /* its sandbox does not work for root */
        argv[n++] = (char *)"--no-sandbox";
    argv[n++] = (char *)what;
    argv[n++] = url;
    if (start(argv, &pid, &fd, err) != 0)
        return -1;
    read_all(fd, said);
    close(fd);
    kill(-pid, SIGKILL); /* it has closed its output, or had its time */
    waitpid(pid, &status, 0);
    return 0;
}

static int measure(const struct work *w, int *height_px, struct fp_err *err)
{
    static const char mark[] = "data-height=\"";
    struct fp_str dom;
    str_init(&dom, MAX_DOM_BYTES);
    int rc = run(w, "--dump-dom", 800, "frame.html", &dom, err);
    const char *at = rc == 0 && dom.len ? strstr(dom.data, mark) : NULL;
    int px = at != NULL ? atoi(at + strlen(mark)) : 0;
    str_fini(&dom);
    *height_px = px < MAX_HEIGHT_PX ? px : MAX_HEIGHT_PX;
    if (rc == 0 && px <= 0)
        rc = err_set(err, FP_UNAVAILABLE, "%s did not show the page: does it run with --headless --dump-dom?",
                     w->program);
    return rc;
}

/* --- all together ------------------------------------------------------------------------------ */

/* Taken beside the page, then copied where it is wanted: never half a picture. */
static int copy_out(const struct work *w, struct fp_err *err)
{
    char from[PATH_MAX + 32], block[16384];
    size_t n = 0, total = 0;
    snprintf(from, sizeof from, "%s/picture.png", w->folder);
    FILE *in = fopen(from, "re");
    if (in == NULL)
        return err_set(err, FP_UNAVAILABLE, "%s made no picture", w->program);
    int fd = open(w->p->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool good = out != NULL;
    while (good && (n = fread(block, 1, sizeof block, in)) > 0) {
        good = fwrite(block, 1, n, out) == n;
        total += n;
    }
    fclose(in);
    good = (out == NULL || fclose(out) == 0) && good && total > 0;
    return good ? 0 : err_set(err, FP_INVALID_ARGUMENT, "--png %s: %s", w->p->path, strerror(errno));
}

static int take(const struct work *w, const struct fp_str *html, struct fp_err *err)
{
    char what[PATH_MAX + 48];
    int height_px;
    struct fp_str said;
    if (put_pages(w, html, err) != 0 || measure(w, &height_px, err) != 0)
        return -1;
    snprintf(what, sizeof what, "--screenshot=%s/picture.png", w->folder);
    str_init(&said, MAX_DOM_BYTES);
    int rc = run(w, what, height_px, "page.html", &said, err);
    str_fini(&said);
    return rc == 0 ? copy_out(w, err) : -1;
}

int picture_make(const struct picture *p, const struct fp_str *html, struct fp_err *err)
{
    struct work w = {.p = p};
    if (find_browser(&w, err) != 0 || make_folder(&w, err) != 0)
        return -1;
    int rc = take(&w, html, err);
    nftw(w.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return rc;
}
