/* A user of the portfolio as the message that travels down the pipeline. */
#ifndef FP_USERSTREAM_USER_H
#define FP_USERSTREAM_USER_H

#include "lib/source/source.h"
#include "lib/wire/wire.h"

/* m points into u, which must live as long. */
void user_to_message(struct source_user *u, bool suppressed, Foliopost__V1__User *m);

#endif
