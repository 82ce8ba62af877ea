/*
 * TLS by OpenSSL: 1.2 and 1.3, ALPN h2 or nothing, no renegotiation, no
 * session tickets (connections live long, a stolen ticket key would too).
 *
 * Certificates are changed under us (cert-manager, Kubernetes secrets): at a
 * new connection, at most every few seconds, the files are looked at, and a
 * new context is made when one is another file. When that fails the old one
 * stays and the log says so. Connections keep the context they began with.
 */
#include "lib/grpc/tls.h"

#include <openssl/err.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/log/log.h"

#define LOOK_EVERY_US (5 * FP_US_PER_S)
#define N_FILES       3

struct grpc_tls {
    const struct grpc_options *o;
    SSL_CTX *ctx;
    struct stat seen[N_FILES];
    int64_t looked_us;
};

static int tls_err(struct fp_err *err, const char *what, const char *file)
{
    char text[160];
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    ERR_clear_error();
    return err_set(err, FP_FAILED_PRECONDITION, "%s %s: %s", what, file, text);
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_bytes, const unsigned char *in,
                     unsigned in_bytes, void *arg)
{
    static const unsigned char h2[] = {2, 'h', '2'};
    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)out, out_bytes, h2, sizeof h2, in, in_bytes) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int ask_for_clients(SSL_CTX *ctx, const struct grpc_options *o, struct fp_err *err)
{
    if (o->client_ca_file[0] == '\0')
        return 0;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(o->client_ca_file);
    if (names == NULL || SSL_CTX_load_verify_locations(ctx, o->client_ca_file, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return tls_err(err, "client CA file", o->client_ca_file);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (o->client_cert_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT),
                       NULL);
    return 0;
}

static SSL_CTX *make_context(const struct grpc_options *o, struct fp_err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int rc = 0;
    if (ctx == NULL)
        rc = tls_err(err, "OpenSSL", "has no TLS");
    else if (SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1)
        rc = tls_err(err, "certificate file", o->cert_file);
    else if (SSL_CTX_use_PrivateKey_file(ctx, o->key_file, SSL_FILETYPE_PEM) != 1)
        rc = tls_err(err, "key file", o->key_file);
    else if (SSL_CTX_check_private_key(ctx) != 1)
        rc = tls_err(err, "the key is not of the certificate:", o->key_file);
    else
        rc = ask_for_clients(ctx, o, err);
    if (rc != 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_select_cb(ctx, choose_h2, NULL);
    return ctx;
}

static void look(const struct grpc_options *o, struct stat out[N_FILES])
{
    const char *files[N_FILES] = {o->cert_file, o->key_file, o->client_ca_file};
    memset(out, 0, N_FILES * sizeof *out);
    for (int i = 0; i < N_FILES; i++)
        if (files[i][0] != '\0' && stat(files[i], &out[i]) != 0)
            memset(&out[i], 0, sizeof out[i]);
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

struct grpc_tls *grpc_tls_new(const struct grpc_options *o, struct fp_err *err)
{
    struct grpc_tls *t = mem_alloc(sizeof *t);
    t->o = o;
    look(o, t->seen);
    t->looked_us = clock_mono_us();
    t->ctx = make_context(o, err);
    if (t->ctx != NULL)
        return t;
    mem_free(t);
    return NULL;
}

void grpc_tls_free(struct grpc_tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    mem_free(t);
}

static void look_again(struct grpc_tls *t)
{
    struct stat now[N_FILES];
    struct fp_err err;
    if (clock_mono_us() - t->looked_us < LOOK_EVERY_US)
        return;
    t->looked_us = clock_mono_us();
    look(t->o, now);
    if (same(&now[0], &t->seen[0]) && same(&now[1], &t->seen[1]) && same(&now[2], &t->seen[2]))
        return;
    SSL_CTX *fresh = make_context(t->o, &err);
    if (fresh == NULL) {
        log_warn("grpc", "certificate kept", "reason=%s", err.msg);
        return; /* seen stays: tried again */
    }
    SSL_CTX_free(t->ctx);
    t->ctx = fresh;
    memcpy(t->seen, now, sizeof now);
    log_info("grpc", "certificate read again", "file=%s", t->o->cert_file);
}

SSL *grpc_tls_accept(struct grpc_tls *t, int fd)
{
    look_again(t);
    SSL *ssl = SSL_new(t->ctx);
    if (ssl != NULL && SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ssl = NULL;
    }
    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    ERR_clear_error();
    return ssl;
}

bool grpc_tls_is_h2(const SSL *ssl)
{
    const unsigned char *name;
    unsigned bytes;
    SSL_get0_alpn_selected(ssl, &name, &bytes);
    return bytes == 2 && memcmp(name, "h2", 2) == 0;
}

void grpc_tls_subject(const SSL *ssl, char *out, size_t cap)
{
    char raw[256] = "";
    X509 *cert = SSL_get0_peer_certificate(ssl);
    BIO *bio = cert != NULL && SSL_get_verify_result(ssl) == X509_V_OK ? BIO_new(BIO_s_mem()) : NULL;
    if (bio != NULL) {
        X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
        int n = BIO_read(bio, raw, sizeof raw - 1);
        raw[n > 0 ? n : 0] = '\0';
        BIO_free(bio);
    }
    text_clean(out, cap, raw);
}
