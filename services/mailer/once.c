/* A connection is opened for the mail and closed behind it: its errors are the provider's own words. */
#include "services/mailer/once.h"

#include <string.h>

const struct provider_options *once_choose(const struct desk_options *o, const char *name, int brands,
                                           struct fp_err *err)
{
    for (int i = 0; i < o->n_providers; i++) {
        bool taken = name[0] != '\0' ? strcmp(o->providers[i].name, name) == 0
                     : brands >= 0   ? i == brands
                                     : !o->providers[i].dedicated;
        if (taken)
            return &o->providers[i];
    }
    (void)err_set(err, FP_INVALID_ARGUMENT, "there is no provider \"%.64s\"", name);
    return NULL;
}

int once_send(const struct provider_options *p, const struct transport_mail *m, struct transport_reply *reply,
              struct fp_err *err)
{
    struct transport *t = p->transport->open(&p->transport_settings, err);
    *reply = (struct transport_reply){.code = 0};
    if (t == NULL)
        return -1;
    p->transport->send(t, m, reply);
    p->transport->close(t);
    switch (reply->verdict) {
    case VERDICT_SENT:
        return 0;
    case VERDICT_AMBIGUOUS:
        return err_set(err, FP_UNKNOWN, "%s (%s): it may or may not have been accepted: %s", p->name,
                       p->transport->name, reply->reason);
    case VERDICT_FAILED:
        return err_set(err, FP_FAILED_PRECONDITION, "%s (%s) refused it: %s", p->name, p->transport->name,
                       reply->reason);
    default:
        return err_set(err, FP_UNAVAILABLE, "%s (%s) does not take it now: %s", p->name, p->transport->name,
                       reply->reason);
    }
}
