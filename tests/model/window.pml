/*
 * Progress: grants, pages, the window and redo. The leader grants pages only
 * while batches in flight leave room; every message can be lost, every process
 * can die with all it has in hand, and the job must complete all the same
 * (P1, P4, P7). The worst case is among the paths: the window is full, and all
 * its batches are lost with a dead worker.
 *
 * One interval of PAGES pages, two userstreams (so that a grant given twice
 * races), one way through stats, one mailer at a time. A page is one batch.
 *
 * BROKEN shows that the checks see: 1 userstream waits for the window before it
 * does anything, so a batch to be done again stands behind it; 2 inserting the
 * batch and moving the cursor are two statements; 3 the cursor is no condition.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#ifndef LOSSES
#define LOSSES 2 /* messages lost, also with a worker that dies */
#endif
#ifndef DEATHS
#define DEATHS 1 /* mailers that die, userstreams that die in mid-page */
#endif
#define PAGES  3
#define WINDOW 2
#define NB     5 /* more than PAGES: BROKEN makes some twice */

mtype = { absent, queued, sending, done };
mtype bstate[NB] = absent;
byte page_of[NB], batches = 0, cursor = 0, pages_left = 0;
bool granted = false, grant_sent = false, mailer_dead = false, completed = false;
bool work[NB], users[NB], summaries[NB]; /* a copy of the batch on this pipe */
byte mailed[PAGES];
byte losses = LOSSES, deaths = DEATHS;

#define OPEN(b)      (bstate[b] == queued || bstate[b] == sending)
#define IN_FLIGHT    (OPEN(0) + OPEN(1) + OPEN(2) + OPEN(3) + OPEN(4))
#define ON_ITS_WAY(b) (work[b] || users[b] || summaries[b])
#define MAY_WORK     (BROKEN != 1 || IN_FLIGHT < WINDOW)
#define PAGE \
    bstate[batches] = queued; page_of[batches] = from; users[batches] = true; batches++

proctype userstream() {
    byte from, b;
end:
    do
    :: atomic { MAY_WORK && grant_sent && !completed -> grant_sent = false };
        do
        :: atomic { pages_left > 0 && cursor < PAGES && MAY_WORK -> from = cursor };
            if
            :: atomic { BROKEN == 2 && batches < NB -> PAGE };     /* the batch, then the cursor */
                if
                :: atomic { cursor == from -> cursor++; pages_left-- }
                :: atomic { deaths > 0 -> deaths--; break }
                :: atomic { cursor != from -> break }
                fi
            :: atomic { BROKEN != 2 && (cursor == from || BROKEN == 3) && pages_left > 0 && batches < NB ->
                PAGE; cursor = from + 1; pages_left-- }            /* page: one statement */
            :: atomic { BROKEN != 3 && BROKEN != 2 && cursor != from -> break } /* another was faster */
            :: atomic { pages_left == 0 || batches == NB -> break }
            :: atomic { deaths > 0 -> deaths--; break }            /* killed before the statement */
            fi
        :: atomic { pages_left == 0 || cursor == PAGES -> granted = (cursor == PAGES -> granted : false); break }
        od
    :: atomic { MAY_WORK && work[0] -> work[0] = false; users[0] = bstate[0] == queued }
    :: atomic { MAY_WORK && work[1] -> work[1] = false; users[1] = bstate[1] == queued }
    :: atomic { MAY_WORK && work[2] -> work[2] = false; users[2] = bstate[2] == queued }
    :: atomic { MAY_WORK && work[3] -> work[3] = false; users[3] = bstate[3] == queued }
    :: atomic { MAY_WORK && work[4] -> work[4] = false; users[4] = bstate[4] == queued }
    od
}

proctype stats() {
end:
    do
    :: atomic { users[0] -> users[0] = false; summaries[0] = true }
    :: atomic { users[1] -> users[1] = false; summaries[1] = true }
    :: atomic { users[2] -> users[2] = false; summaries[2] = true }
    :: atomic { users[3] -> users[3] = false; summaries[3] = true }
    :: atomic { users[4] -> users[4] = false; summaries[4] = true }
    od
}

inline send(b) {
    atomic { summaries[b] && !mailer_dead -> summaries[b] = false; if :: bstate[b] == queued -> bstate[b] = sending :: else fi };
    if
    :: atomic { bstate[b] == sending -> bstate[b] = done; mailed[page_of[b]]++ }
    :: atomic { bstate[b] == sending && deaths > 0 -> deaths--; mailer_dead = true }
    :: bstate[b] != sending
    fi
}
proctype mailer() {
end:
    do
    :: send(0)
    :: send(1)
    :: send(2)
    :: send(3)
    :: send(4)
    od
}

/* A message that is lost, or that a dying worker had in hand. */
proctype bus() {
    byte b;
end:
    do
    :: atomic { losses > 0 && grant_sent -> losses--; grant_sent = false }
    :: atomic { losses > 0 -> losses--;
        b = 0;
        do /* whatever is on the pipes, all at once: a worker died with it */
        :: b < NB -> work[b] = false; users[b] = false; summaries[b] = false; b++
        :: else -> break
        od; b = 0 }
    od
}

proctype leader() {
    byte b;
    do
    :: completed -> break
    :: atomic { !completed && !granted && cursor < PAGES && IN_FLIGHT < WINDOW ->
        granted = true; pages_left = WINDOW - IN_FLIGHT; grant_sent = true }       /* grant */
    :: atomic { granted && !grant_sent && cursor < PAGES && IN_FLIGHT < WINDOW ->
        pages_left = WINDOW - IN_FLIGHT; grant_sent = true }                       /* an overdue one, again */
    :: atomic { bstate[0] == queued && !ON_ITS_WAY(0) -> work[0] = true }         /* redo: not held by the window */
    :: atomic { bstate[1] == queued && !ON_ITS_WAY(1) -> work[1] = true }
    :: atomic { bstate[2] == queued && !ON_ITS_WAY(2) -> work[2] = true }
    :: atomic { bstate[3] == queued && !ON_ITS_WAY(3) -> work[3] = true }
    :: atomic { bstate[4] == queued && !ON_ITS_WAY(4) -> work[4] = true }
    :: atomic { mailer_dead -> mailer_dead = false;                                /* expire; another starts */
        b = 0;
        do
        :: b < NB -> if :: bstate[b] == sending -> bstate[b] = queued :: else fi; b++
        :: else -> break
        od; b = 0 }
    :: atomic { cursor == PAGES && IN_FLIGHT == 0 && !completed -> completed = true;
        assert(mailed[0] > 0 && mailed[1] > 0 && mailed[2] > 0);                   /* P1 */
        assert(mailed[0] == 1 && mailed[1] == 1 && mailed[2] == 1) }               /* no page twice */
    od
}

init {
    atomic { run leader(); run bus(); run userstream(); run userstream(); run stats(); run mailer() }
}

/* The faults end; then the job does. Checked with weak fairness. */
ltl progress { <> completed }
