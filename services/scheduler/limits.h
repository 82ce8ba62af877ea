/*
 * Bounds on what a job may ask for and on what the leader keeps: the same for
 * a client's specification (spec.c) and an operator's setting (settings.c).
 */
#ifndef FP_SCHEDULER_LIMITS_H
#define FP_SCHEDULER_LIMITS_H

#include "lib/wire/wire.h"

#define LIMIT_BATCH_SIZE        WIRE_MAX_USERS
#define LIMIT_WINDOW_BATCHES    10000     /* a job of a million users has as many batches in all */
#define LIMIT_ATTEMPTS          100       /* the ledger's CHECK */
#define LIMIT_INTERVAL_DELAY_MS 86400000  /* a day */
#define LIMIT_RATE              1e6       /* users a second; beyond it none is meant */
#define LIMIT_PERIOD_DAYS       400       /* a year and its month: more than any report we print */
#define LIMIT_DEADLINE_DAYS     366       /* a job that nobody waits for in a year is forgotten */
#define LIMIT_CANARY_WAIT_MS    604800000 /* a week: whoever waits longer cancels and submits again */
#define LIMIT_JOBS_AT_ONCE      20        /* each costs the leader a handful of statements in every tick */
#define LIMIT_OPEN_JOBS         200       /* PENDING, IN_PROGRESS or PAUSED; more are RESOURCE_EXHAUSTED */
#define LIMIT_SCHEDULES         200       /* one page of ListSchedules */
#define LIMIT_CATCH_UP_MS       604800000 /* a week of minutes is ten thousand steps in the leader's loop */

#endif
