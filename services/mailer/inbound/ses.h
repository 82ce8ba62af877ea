/* SES's door keeps the certificates of SNS while the process runs. */
#ifndef FP_INBOUND_SES_H
#define FP_INBOUND_SES_H

#include "services/mailer/inbound/settings.h"
#include "services/mailer/inbound/sns.h"

void ses_start(const struct inbound_settings *set);
void ses_stop(void);
struct sns *ses_sns(void);

#endif
