/* The transports there are; transport_by_name() finds them. */
#ifndef FP_MAILER_TRANSPORTS_H
#define FP_MAILER_TRANSPORTS_H

#include "services/mailer/transport.h"

extern const struct transport_ops transport_smtp, transport_ses, transport_sendgrid, transport_maildir,
    transport_null;

#endif
