/*
 * The one place that sets up NNG endpoints.
 *
 * NNG sizes its thread pools by the machine's cores, whatever the container's
 * limit: 88 threads on a 64-core node. From 1.7 on it can be told; 1.5 cannot.
 * A few messages a second need no more than the minimum (two task threads, or
 * NNG can lock up: nng#1202).
 *
 * TLS is mutual: holding a certificate of the installation's CA is the whole
 * authorisation, in both directions. Certificates are read once, at the start.
 */
#include "lib/bus/endpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/bus/watch.h"

#define MAX_PIPES     4096        /* connections counted; more work, but do not show */
#define MAX_PEM_BYTES (64 * 1024) /* a CA bundle of some dozens of certificates */

static void set_threads(void)
{
#ifdef FP_HAVE_NNG_INIT_PARAMETER
    nng_init_set_parameter(NNG_INIT_NUM_TASK_THREADS, 2);
    nng_init_set_parameter(NNG_INIT_NUM_EXPIRE_THREADS, 1);
    nng_init_set_parameter(NNG_INIT_NUM_POLLER_THREADS, 1);
    nng_init_set_parameter(NNG_INIT_NUM_RESOLVER_THREADS, 1);
#endif
}

void endpoint_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_threads);
}

static enum fp_code code_of(int rv)
{
    switch (rv) {
    case NNG_ETIMEDOUT:
    case NNG_ECONNREFUSED:
    case NNG_ECONNRESET:
    case NNG_ECONNABORTED:
    case NNG_ECONNSHUT:
    case NNG_EUNREACHABLE:
        return FP_UNAVAILABLE;
    case NNG_EADDRINUSE:
        return FP_FAILED_PRECONDITION;
    case NNG_EADDRINVAL:
    case NNG_EINVAL:
        return FP_INVALID_ARGUMENT;
    case NNG_EPERM:
        return FP_PERMISSION_DENIED;
    case NNG_EMSGSIZE:
    case NNG_ENOMEM:
        return FP_RESOURCE_EXHAUSTED;
    case NNG_ECANCELED:
    case NNG_ECLOSED:
        return FP_CANCELLED;
    default:
        return FP_INTERNAL;
    }
}

int endpoint_err(struct fp_err *err, int rv, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(err, code_of(rv), "%s: %s", text, nng_strerror(rv));
}

void endpoint_must(int rv, const char *what)
{
    if (rv != 0)
        fp_panic("%s: %s", what, nng_strerror(rv));
}

static char *read_pem(const char *path, const char *what, struct fp_err *err)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        err_set(err, FP_FAILED_PRECONDITION, "cannot read the bus's %s file %s: %s", what, path,
                strerror(errno));
        return NULL;
    }
    char *text = mem_alloc(MAX_PEM_BYTES + 1);
    size_t n = fread(text, 1, MAX_PEM_BYTES, f);
    bool whole = !ferror(f) && fgetc(f) == EOF;
    fclose(f);
    if (whole && n > 0)
        return text;
    err_set(err, FP_FAILED_PRECONDITION, "the bus's %s file %s is %s", what, path,
            n == 0 ? "empty or unreadable" : "longer than 64 kB");
    mem_free(text);
    return NULL;
}

static int fill_tls(nng_tls_config *cfg, const struct bus_url *u, const struct bus_tls *tls, bool server,
                    struct fp_err *err)
{
    int result = -1;
    char *cert = NULL, *key = NULL;
    char *ca = read_pem(tls->ca_file, "CA", err);
    if (ca != NULL)
        cert = read_pem(tls->cert_file, "certificate", err);
    if (cert != NULL)
        key = read_pem(tls->key_file, "key", err);
    if (key == NULL)
        goto out;
    int rv = nng_tls_config_ca_chain(cfg, ca, NULL);
    if (rv != 0) {
        endpoint_err(err, rv, "the bus's CA file %s", tls->ca_file);
        goto out;
    }
    if ((rv = nng_tls_config_own_cert(cfg, cert, key, NULL)) != 0) {
        endpoint_err(err, rv, "the bus's certificate %s with key %s", tls->cert_file, tls->key_file);
        goto out;
    }
    if ((rv = nng_tls_config_auth_mode(cfg, NNG_TLS_AUTH_MODE_REQUIRED)) != 0 ||
        (rv = nng_tls_config_version(cfg, NNG_TLS_1_2, NNG_TLS_1_2)) != 0 ||
        (!server && (rv = nng_tls_config_server_name(cfg, u->host)) != 0)) {
        endpoint_err(err, rv, "TLS settings for %s", u->host);
        goto out;
    }
    result = 0;
out:
    mem_free(ca);
    mem_free(cert);
    mem_free(key);
    return result;
}

static int count_files(const struct bus_tls *tls)
{
    return (tls->ca_file[0] != '\0') + (tls->cert_file[0] != '\0') + (tls->key_file[0] != '\0');
}

int bus_check_tls(const struct bus_tls *tls, struct fp_err *err)
{
    int files = count_files(tls);
    if (files == 0 || files == 3)
        return 0;
    return err_set(err, FP_INVALID_ARGUMENT,
                   "bus-ca-file, bus-cert-file and bus-key-file: %d of 3 are given; give all three, or none "
                   "for plain tcp",
                   files);
}

int endpoint_tls(const struct bus_url *u, const struct bus_tls *tls, bool server, nng_tls_config **out,
                 struct fp_err *err)
{
    int files = tls != NULL ? count_files(tls) : 0;
    *out = NULL;
    if (files == 0 && !u->tls)
        return 0;
    if (files != 3)
        return err_set(
            err, FP_INVALID_ARGUMENT,
            "%s://%s:%s: TLS on the bus needs a CA, a certificate and a key file: %d of 3 are given",
            u->tls ? "tls+tcp" : "tcp", u->host, u->port, files);
    if (!u->tls)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "tcp://%s:%s is plain although TLS keys are configured: write tls+tcp://%s:%s",
                       u->host, u->port, u->host, u->port);
    nng_tls_config *cfg;
    int rv = nng_tls_config_alloc(&cfg, server ? NNG_TLS_MODE_SERVER : NNG_TLS_MODE_CLIENT);
    if (rv != 0)
        return endpoint_err(err, rv, "this NNG library has no TLS");
    if (fill_tls(cfg, u, tls, server, err) != 0) {
        nng_tls_config_free(cfg);
        return -1;
    }
    *out = cfg;
    return 0;
}

const struct bus_tls *endpoint_tls_of(const char *urls, const struct bus_tls *tls)
{
    return strncmp(urls, "tls+", 4) == 0 ? tls : NULL;
}

int endpoint_listen(nng_socket s, const char *url, const struct bus_tls *tls, nng_listener *listener,
                    int *port, struct fp_err *err)
{
    struct bus_url parsed[BUS_MAX_URLS];
    nng_tls_config *cfg;
    char text[320];
    if (bus_urls_parse(url, true, parsed, err) < 0 || endpoint_tls(&parsed[0], tls, true, &cfg, err) != 0)
        return -1;
    bus_url_format(&parsed[0], parsed[0].host[0] != '\0' ? parsed[0].host : "*", text, sizeof text);
    int rv = nng_listener_create(listener, s, text);
    if (rv == 0 && cfg != NULL)
        rv = nng_listener_set_ptr(*listener, NNG_OPT_TLS_CONFIG, cfg);
    if (cfg != NULL)
        nng_tls_config_free(cfg); /* the listener holds it */
    if (rv == 0)
        rv = nng_listener_set_bool(*listener, NNG_OPT_TCP_KEEPALIVE, true);
    if (rv == 0)
        rv = nng_listener_start(*listener, 0);
    if (rv == 0)
        rv = nng_listener_get_int(*listener, NNG_OPT_TCP_BOUND_PORT, port);
    return rv == 0 ? 0 : endpoint_err(err, rv, "cannot listen on %s", url);
}

void endpoint_host_of(nng_pipe pipe, struct endpoint_host *out)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff}; /* IPv4 at an IPv6 socket */
    nng_sockaddr a;
    memset(out, 0, sizeof *out);
    if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &a) != 0)
        return;
    out->family = a.s_family;
    if (a.s_family == NNG_AF_INET)
        memcpy(out->address, &a.s_in.sa_addr, 4);
    if (a.s_family == NNG_AF_INET6)
        memcpy(out->address, a.s_in6.sa_addr,
               memcmp(a.s_in6.sa_addr, mapped, sizeof mapped) == 0 ? 16 : 64 / 8);
}

int endpoint_pipe_event(struct endpoint_pipes *p, nng_pipe pipe, nng_pipe_ev event)
{
    int id = nng_pipe_id(pipe);
    size_t i = 0;
    while (i < p->n && p->pipes[i].id != id)
        i++;
    if (event == NNG_PIPE_EV_ADD_PRE && i == p->n && p->n < MAX_PIPES) {
        p->pipes = mem_resize(p->pipes, p->n + 1, sizeof *p->pipes);
        p->pipes[p->n++] = (struct endpoint_pipe){.id = id};
    } else if (event == NNG_PIPE_EV_ADD_POST && i < p->n && !p->pipes[i].up) {
        p->pipes[i].up = true;
        watch_add(pipe);
        return 1;
    } else if (event == NNG_PIPE_EV_REM_POST && i < p->n) {
        bool was_up = p->pipes[i].up;
        p->pipes[i] = p->pipes[--p->n];
        watch_remove(pipe);
        return was_up ? -1 : 0;
    }
    return 0;
}

void endpoint_notify(nng_socket s, nng_pipe_cb cb, void *arg)
{
    endpoint_must(nng_pipe_notify(s, NNG_PIPE_EV_ADD_PRE, cb, arg), "nng_pipe_notify");
    endpoint_must(nng_pipe_notify(s, NNG_PIPE_EV_ADD_POST, cb, arg), "nng_pipe_notify");
    endpoint_must(nng_pipe_notify(s, NNG_PIPE_EV_REM_POST, cb, arg), "nng_pipe_notify");
}

void endpoint_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        fp_panic("cannot start a thread: %s", strerror(rc));
}

void endpoint_keep(void *p)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static void **kept;
    static size_t n;
    pthread_mutex_lock(&lock);
    kept = mem_resize(kept, n + 1, sizeof *kept);
    kept[n++] = p;
    pthread_mutex_unlock(&lock);
}
