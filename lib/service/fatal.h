/*
 * What a process says when a fatal signal ends it (SIGSEGV, SIGBUS, SIGFPE,
 * SIGILL, SIGABRT): core dumps are off, so this is all that is left of why.
 *
 *   fatal signal 11
 *   /lib/x86_64-linux-gnu/libnng.so.1(+0x2c1f4)[0x7f...]
 *   ...
 *
 * goes to standard error as it is, whatever the log's format: program or
 * library, and the offset in it for addr2line -e FILE OFFSET. No data of the
 * program is in it. Then the signal does what it always does.
 */
#ifndef FP_SERVICE_FATAL_H
#define FP_SERVICE_FATAL_H

/* For the whole process; call once, early. Does nothing in sanitized builds,
 * whose own reports say more. */
void fatal_report_signals(void);

#endif
