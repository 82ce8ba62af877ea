/*
 * The words that the view of a statement brings along, in English. What the
 * templates say themselves is not here; another language needs other words
 * here and another set of templates.
 */
#ifndef FP_RENDER_WORDS_H
#define FP_RENDER_WORDS_H

#define WORD_UP        "up"
#define WORD_DOWN      "down"
#define WORD_UNCHANGED "unchanged"

#define WORD_VALUE_ON      "Value on " /* a date follows */
#define WORD_CONTRIBUTIONS "Paid in less paid out"
#define WORD_GAIN          "Gain or loss"
#define WORD_INCOME        "Dividends and interest, before tax"
#define WORD_FEES          "Fees"
#define WORD_TAXES         "Taxes"

#define WORD_TOP        "What helped most"
#define WORD_BOTTOM     "What helped least"
#define WORD_INSTRUMENT "Instrument" /* one without a name; its id follows */
#define WORD_HOLDING    "holding"
#define WORD_HOLDINGS   "holdings"

#define REMARK_STALE_PRICE                                                                                   \
    "For at least one holding no recent price was available; the last known price was used."
#define REMARK_PRICE_AFTER                                                                                   \
    "For at least one holding no earlier price was available; the next one, or the price of your own "       \
    "trade, was used."
#define REMARK_NOT_PRICED                                                                                    \
    "At least one holding has no price. It is shown at what it cost and is left out of the return."
#define REMARK_NO_CAPITAL                                                                                    \
    "On at least one day the value changed while nothing was invested; that day is left out of the return."
#define REMARK_NEGATIVE_VALUE                                                                                \
    "The portfolio had a negative value during the period, so that no return can be given."
#define REMARK_OPENED      "Your portfolio was opened during the period; the return counts from its first day."
#define REMARK_SUSPECT_DAY "The value changed unusually much on a single day. Please check your transactions."

#endif
