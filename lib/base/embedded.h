/* Files compiled into the programs by script/embed.cmake. */
#ifndef FP_BASE_EMBEDDED_H
#define FP_BASE_EMBEDDED_H

struct fp_embedded {
    const char *name; /* file name without folder; null ends the array */
    const char *text;
};

#endif
