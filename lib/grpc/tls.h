/* TLS of the gRPC door: one context, made again when its files change. */
#ifndef FP_GRPC_TLS_H
#define FP_GRPC_TLS_H

#include <openssl/ssl.h>

#include "lib/grpc/grpc.h"

struct grpc_tls;

/* Reads certificate, key and CA: an error names the file. */
struct grpc_tls *grpc_tls_new(const struct grpc_options *o, struct fp_err *err) FP_MUST_CHECK;
void grpc_tls_free(struct grpc_tls *t); /* NULL is fine */
/* The server's side of one new connection; NULL when OpenSSL has no memory. */
SSL *grpc_tls_accept(struct grpc_tls *t, int fd);
/* After the handshake: false unless both speak h2. */
bool grpc_tls_is_h2(const SSL *ssl);
/* The verified client's subject, "" without a certificate. */
void grpc_tls_subject(const SSL *ssl, char *out, size_t cap);

#endif
