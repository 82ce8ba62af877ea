/* What the files of lib/config share. */
#ifndef FP_CONFIG_INTERNAL_H
#define FP_CONFIG_INTERNAL_H

#include "lib/config/config.h"

#define CONFIG_ENV_CAP 80 /* FOLIOPOST_ and a name */

/* Row i of both tables, and the struct that it fills; NULL past the end. */
const struct config_setting *config_row(const struct config_table *t, size_t i, void *values, void **base);

/* "mail-rate" -> "FOLIOPOST_MAIL_RATE" */
void config_env_name(const struct config_setting *row, char out[CONFIG_ENV_CAP]);

bool config_is_text(const struct config_setting *row); /* the value is a char * */
/* "mails/s, 0 to 100000"; "" when there is neither unit nor bounds. */
void config_describe(const struct config_setting *row, char *out, size_t cap);

#endif
