/*
 * The list of transports. A new one is a file with its table of functions, a
 * line in transports.h and a line here.
 */
#include "services/mailer/transport.h"

#include <string.h>

#include "services/mailer/transports.h"

const struct transport_ops *transport_by_name(const char *name)
{
    static const struct transport_ops *const all[] = {&transport_smtp, &transport_ses, &transport_sendgrid,
                                                      &transport_maildir, &transport_null};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
