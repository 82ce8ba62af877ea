/*
 * Who is known here to get no mail is marked with the reason. The order of
 * reasons is the order in which a person would explain it: one who is gone
 * cannot have opted out.
 */
#include "services/userstream/user.h"

static Foliopost__V1__SkipReason skip_reason(const struct source_user *u, bool suppressed)
{
    if (u->gone)
        return FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_GONE;
    if (u->opted_out)
        return FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_OPTED_OUT;
    if (suppressed)
        return FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_SUPPRESSED;
    if (u->address == ADDRESS_NON_ASCII_MAILBOX)
        return FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_NON_ASCII_MAILBOX;
    if (u->address != ADDRESS_USABLE)
        return FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_BAD_ADDRESS;
    return FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_UNSPECIFIED;
}

void user_to_message(struct source_user *u, bool suppressed, Foliopost__V1__User *m)
{
    foliopost__v1__user__init(m);
    m->id = u->id;
    m->email = u->email;
    m->first_name = u->first_name;
    m->last_name = u->last_name;
    m->locale = u->locale;
    m->time_zone = u->time_zone;
    m->base_currency = u->base_currency;
    m->brand = u->brand;
    m->skip = skip_reason(u, suppressed);
}
