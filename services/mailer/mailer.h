/* The mailer as a service: the callbacks that main.c hands to the skeleton. */
#ifndef FP_MAILER_MAILER_H
#define FP_MAILER_MAILER_H

#include "lib/service/service.h"

int mailer_start(struct fp_service *s, void *values, struct fp_err *err);
void mailer_tick(struct fp_service *s, void *values);
void mailer_drain(struct fp_service *s, void *values);
bool mailer_drained(struct fp_service *s, void *values);
void mailer_stop(struct fp_service *s, void *values);
bool mailer_ready(struct fp_service *s, void *values, struct fp_str *why_not);

#endif
