/*
 * The life of a batch and of its users' deliveries: two mailers (or two slots
 * of one, -DSAME) that crash, freeze past their lease and lose replies at every
 * step, a bus that loses and doubles, a leader that expires, redoes, retries,
 * splits, completes and reopens. README.md maps each step to its statement.
 *
 * A statement on the ledger is one atomic block, because it is one statement
 * there. What a mailer knows stands in its local variables and is gone with it.
 * Sets of users are bit masks. The faults there may be are budgets, set by
 * script/model; what is 0 cannot happen.
 *
 * SABOTAGE takes one protection out: 1 the fence, 2 marking of open intents,
 * 3 open intents as a set (replaced instead), 4 guard of retry (requeued to
 * *this* batch), 5 lease check, 6 claim token, 7 handing back a batch of which a
 * withdrawal is in doubt. Each must make a check fail.
 */
#ifndef SABOTAGE
#define SABOTAGE 0
#endif
#ifndef RESEND
#define RESEND 0 /* the policy for ambiguous users: 0 hold */
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef EXPIRIES
#define EXPIRIES 0 /* leases that run out although the process lives (frozen, cut off) */
#endif
#ifndef REPLIES
#define REPLIES 0 /* replies lost after the commit */
#endif
#ifndef DOUBLES
#define DOUBLES 0 /* messages doubled, or emitted while a copy is still on its way */
#endif
#ifndef DEFERS
#define DEFERS 0 /* mails refused for now */
#endif
#ifndef THROTTLES
#define THROTTLES 0 /* mails refused that cost nothing: their intent is taken back, and opened again */
#endif
#ifndef LATES
#define LATES 0 /* records of which a try without an answer is carried out long after its repetition */
#endif
#ifndef CLOSES
#define CLOSES 0 /* connections closed after the end of data */
#endif
#ifndef DRAINS
#define DRAINS 0 /* mailers told to leave with a batch in hand */
#endif
#ifndef PAUSES
#define PAUSES 0
#endif
#ifndef SPLITS
#define SPLITS 0
#endif
#ifndef REOPENS
#define REOPENS 0
#endif

#define NU 2
#define NB 4
#define NI 6 /* instances: each start of a process is one */
#define ALL 3
#define BIT(u) (1 << (u))
#define HAS(set, u) (((set) >> (u)) & 1)

mtype = { absent, queued, sending, done, split };             /* batches.state */
mtype = { none, sent, ambiguous, deferred, requeued };        /* deliveries.state; none: no row */
mtype = { unborn, live, over, swept };                        /* an instance and its lease */
mtype = { in_progress, paused, completed };                   /* jobs.state */

/* --- the ledger ---------------------------------------------------------------- */
mtype job = in_progress;
mtype bstate[NB] = absent;
byte members[NB], epoch[NB], owner[NB], token[NB], intents[NB];
byte batches = 1;
mtype state[NU] = none;
byte dbatch[NU], depoch[NU], maybe_doubles[NU];
mtype inst[NI] = unborn;
byte instances = 0;

/* --- the world ------------------------------------------------------------------- */
byte copies[NB];   /* messages of a batch on the bus */
byte mails[NU];    /* accepted by the provider */
byte cur[2];       /* the instance a mailer goes by now */
byte dead = 0;     /* instances whose process is gone: a mask */
byte hand[2] = NB; /* which batch a slot has in hand; NB: none */
byte crashes = CRASHES, expiries = EXPIRIES, replies = REPLIES, doubles = DOUBLES, defers = DEFERS,
     closes = CLOSES, throttles = THROTTLES, lates = LATES, drains = DRAINS, pauses = PAUSES, splits = SPLITS, reopens = REOPENS;

#if LATES
/* the try that is held up: of which claim, what it takes back and what it opens */
bool held_up = false;
byte l_batch, l_epoch, l_owner, l_withdrawn, l_opened;
#endif

#ifdef SAME
#define MAILER(s) 0
#else
#define MAILER(s) (s)
#endif

#if SABOTAGE == 5
#define LIVES(i) (true)
#define MAY_SEND(i) (true)
#else
#define LIVES(i) (inst[i] == live)
#define MAY_SEND(i) (inst[i] == live) /* the local deadline ends before the lease does */
#endif
#if SABOTAGE == 1
#define HOLDS(b, e, i) (true)
#else
#define HOLDS(b, e, i) (bstate[b] == sending && epoch[b] == e && owner[b] == i && LIVES(i))
#endif
/* P5: nobody writes but the owner of the claim, while his lease holds */
#define FRESH(b, e, i) assert(bstate[b] == sending && epoch[b] == e && owner[b] == i && inst[i] == live)
#if SABOTAGE == 4
#define DUE(u, b) (state[u] == none || state[u] == requeued)
#else
#define DUE(u, b) (state[u] == none || (state[u] == requeued && dbatch[u] == b))
#endif
#if SABOTAGE == 6
#define MY_TOKEN(b, t) (true)
#else
#define MY_TOKEN(b, t) (token[b] == t)
#endif

/* an outcome by upsert: only who has no row, or is requeued to this batch */
#define PUT(u, b, e, s) \
    if :: HAS(members[b], u) && DUE(u, b) -> state[u] = s; dbatch[u] = b; depoch[u] = e :: else fi

/* the outcomes of a record; a record that is repeated finds the rows written and touches none */
inline settle(b, e) {
    u_ = 0;
    do
    :: u_ < NU ->
        if :: HAS(got, u_) -> PUT(u_, b, e, sent) :: else fi;
        if :: HAS(later, u_) -> PUT(u_, b, e, deferred) :: else fi;
        if
        :: HAS(unsure, u_) && DUE(u_, b) ->
            maybe_doubles[u_] = maybe_doubles[u_] + RESEND;
            PUT(u_, b, e, (RESEND -> deferred : ambiguous))
        :: else
        fi;
        u_++
    :: else -> break
    od;
    u_ = 0
}

/* what expire and forget do with a batch whose owner is gone */
inline back(b) {
    u_ = 0;
    do
    :: u_ < NU ->
        if
        :: SABOTAGE != 2 && HAS(intents[b], u_) && DUE(u_, b) ->
            if
            :: RESEND -> state[u_] = requeued; maybe_doubles[u_]++
            :: else -> state[u_] = ambiguous
            fi;
            dbatch[u_] = b; depoch[u_] = epoch[b]
        :: else
        fi;
        u_++
    :: else -> break
    od;
    u_ = 0;
    intents[b] = 0; token[b] = 0; bstate[b] = queued
}

/* --- a slot of a mailer -------------------------------------------------------------- */
proctype slot(byte s) {
    byte b = NB, me, mine, tok, flip, todo, flight, air, got, later, unsure, unsent, new, u_ = 0;
    bool ok, closing;
idle:
    atomic { hand[s] = NB; b = NB; mine = 0; todo = 0; flight = 0; air = 0; got = 0; later = 0; unsure = 0; unsent = 0; new = 0; me = 0; closing = false };
    if
    :: atomic { inst[cur[MAILER(s)]] == swept && instances < NI -> /* instance_start */
        inst[instances] = live; cur[MAILER(s)] = instances; instances++ };
        goto idle
    :: atomic { inst[cur[MAILER(s)]] == live && job != completed && copies[0] > 0 -> copies[0]--; b = 0 }
    :: atomic { inst[cur[MAILER(s)]] == live && job != completed && copies[1] > 0 -> copies[1]--; b = 1 }
    :: atomic { inst[cur[MAILER(s)]] == live && job != completed && copies[2] > 0 -> copies[2]--; b = 2 }
    :: atomic { inst[cur[MAILER(s)]] == live && job != completed && copies[3] > 0 -> copies[3]--; b = 3 }
    :: atomic { job == completed && reopens == 0 -> goto fin }
    fi;
    atomic { me = cur[MAILER(s)]; hand[s] = b; flip = 1 - flip; tok = 1 + 2 * s + flip };
claim:
    atomic {
        ok = job == in_progress && LIVES(me) &&
             (bstate[b] == queued || (bstate[b] == sending && owner[b] == me && MY_TOKEN(b, tok)));
        if
        :: ok ->
            if :: bstate[b] == queued -> epoch[b]++; intents[b] = 0 :: else fi;
            bstate[b] = sending; owner[b] = me; token[b] = tok; mine = epoch[b]
        :: else
        fi
    };
    if
    :: !ok -> goto idle                                    /* another has it, or redo brings it again */
    :: ok
    :: atomic { replies > 0 -> replies--; goto claim }     /* the reply was lost: again, with the same token */
    :: atomic { replies > 0 -> replies--; goto idle }      /* ... and given up: a stray */
    :: atomic { crashes > 0 && ok -> crashes--; goto die }
    fi;
    atomic { /* claim_due: a statement of its own, behind the claim's commit */
        todo = (HAS(members[b], 0) && DUE(0, b)) | ((HAS(members[b], 1) && DUE(1, b)) << 1);
    };
work:
    if
    :: atomic { todo != 0 && !closing && inst[me] != swept -> new = (HAS(todo, 0) -> 1 : 2) };
record:
        atomic {
            ok = HOLDS(b, mine, me);
            if
            :: ok ->
                FRESH(b, mine, me);
                settle(b, mine);
                if
                :: SABOTAGE == 3 && new != 0 -> intents[b] = 0
                :: else -> intents[b] = intents[b] & (ALL - (got | later | unsure | unsent))
                fi;
                if :: job == in_progress -> intents[b] = intents[b] | new :: else -> new = 0 fi;
#if LATES
                if
                :: lates > 0 -> /* this is the repetition: the first try comes later */
                    lates--; held_up = true;
                    l_batch = b; l_epoch = mine; l_owner = me; l_withdrawn = unsent; l_opened = new;
                    closing = closing || (unsent != 0 && SABOTAGE != 7)
                :: true
                fi
#endif
            :: else
            fi
        };
        if
        :: ok -> atomic { todo = (todo & (ALL - new)) | unsent; flight = flight | new; got = 0; later = 0; unsure = 0; unsent = 0; new = 0 };
            if
            :: job != in_progress && air == 0 -> goto leave     /* paused: what did not go out is taken back */
            :: job == in_progress || air != 0 -> goto work
            fi
        :: atomic { replies > 0 -> replies--; goto record }
        :: atomic { crashes > 0 -> crashes--; goto die }
        :: !ok -> atomic { new = 0 }; goto refused
        fi
    /* the slice of the rate, the local deadline, then the mail: from here on it may arrive */
    :: atomic { HAS(flight, 0) && !closing && MAY_SEND(me) ->
        assert(inst[me] != swept);                              /* P5: who is swept sends nothing more */
        flight = flight - 1; air = air + 1 }; goto work
    :: atomic { HAS(flight, 1) && !closing && MAY_SEND(me) ->
        assert(inst[me] != swept);
        flight = flight - 2; air = air + 2 }; goto work
    :: atomic { air != 0 -> u_ = (HAS(air, 0) -> 0 : 1); air = air - BIT(u_);
        if
        :: mails[u_]++; got = got | BIT(u_)                     /* 250 */
        :: defers > 0 -> defers--; later = later | BIT(u_)      /* 4xx */
        :: throttles > 0 -> throttles--; unsent = unsent | BIT(u_) /* 421 */
        :: closes > 0 -> closes--; unsure = unsure | BIT(u_); mails[u_]++
        :: closes > 0 -> closes--; unsure = unsure | BIT(u_)
        fi; u_ = 0 }; goto work
    :: atomic { todo == 0 && (got | later | unsure | unsent) != 0 -> goto record }
    :: atomic { todo == 0 && (flight | air | got | later | unsure | unsent) == 0 -> goto finish }
    :: atomic { closing && air == 0 -> goto leave }
    /* put off without a try: its provider stands, others want the slot */
    :: atomic { todo != 0 && defers > 0 -> defers--; u_ = (HAS(todo, 0) -> 0 : 1); todo = todo - BIT(u_);
        later = later | BIT(u_); u_ = 0 }; goto work
    :: atomic { drains > 0 && air == 0 -> drains--; goto leave }
    :: atomic { flight != 0 && inst[me] == swept && air == 0 -> goto gone }
    :: atomic { todo != 0 && inst[me] == swept && (flight | air) == 0 -> goto gone }
    :: atomic { crashes > 0 -> crashes--; goto die }
    fi;
finish:
    atomic {
        ok = HOLDS(b, mine, me) && intents[b] == 0 &&
             !(HAS(members[b], 0) && DUE(0, b)) && !(HAS(members[b], 1) && DUE(1, b));
        if :: ok -> FRESH(b, mine, me); bstate[b] = done; token[b] = 0 :: else fi
    };
    if
    :: atomic { replies > 0 && ok -> replies--; goto finished }
    :: ok -> goto idle
    :: !ok -> goto refused
    fi;
finished: /* zero rows: done already, by me? */
    goto idle;
leave: /* withdraw what certainly did not go out, record the rest, release */
    atomic {
        ok = HOLDS(b, mine, me);
        if
        :: ok ->
            FRESH(b, mine, me);
            settle(b, mine);
            intents[b] = intents[b] & (ALL - (got | later | unsure | unsent | flight));
            flight = 0; got = 0; later = 0; unsure = 0; unsent = 0
        :: else
        fi
    };
    if :: !ok -> goto refused :: ok fi;
    atomic { /* release */
        ok = HOLDS(b, mine, me) && intents[b] == 0;
        if :: ok -> FRESH(b, mine, me); bstate[b] = queued; token[b] = 0 :: else fi
    };
    if :: ok -> goto idle :: !ok -> goto refused fi;
refused: /* the row is read: mine still (the lease may come back), or another's */
    if
    :: atomic { bstate[b] == sending && epoch[b] == mine && owner[b] == me && inst[me] == live -> goto work }
#if LATES
    /* refused again and again: an intent is open that this one does not know of */
    :: atomic { bstate[b] == sending && epoch[b] == mine && owner[b] == me && inst[me] == live &&
        (flight | air | got | later | unsure | unsent) == 0 && intents[b] != 0 -> back(b); goto idle }
#endif
    :: atomic { !(bstate[b] == sending && epoch[b] == mine && owner[b] == me) || inst[me] == swept -> goto gone }
    :: atomic { crashes > 0 -> crashes--; goto die }
    fi;
gone: /* what is still in the air settles; what became known is told as late truth */
    if
    :: atomic { air != 0 -> u_ = (HAS(air, 0) -> 0 : 1); air = air - BIT(u_);
        if :: mails[u_]++; got = got | BIT(u_) :: skip fi; u_ = 0 }; goto gone
    :: atomic { air == 0 -> /* late_truth */
        u_ = 0;
        do
        :: u_ < NU ->
            if
            :: HAS(got, u_) && dbatch[u_] == b && depoch[u_] == mine && epoch[b] >= mine &&
               (state[u_] == ambiguous || (state[u_] == requeued && bstate[b] == queued && epoch[b] == mine)) ->
                state[u_] = sent
            :: HAS(flight | unsent | later, u_) && dbatch[u_] == b && depoch[u_] == mine && epoch[b] >= mine &&
               job != completed &&
               (state[u_] == ambiguous || (state[u_] == requeued && bstate[b] == queued && epoch[b] == mine)) ->
                state[u_] = deferred
            :: else
            fi;
            u_++
        :: else -> break
        od; u_ = 0 }
    fi;
    goto idle;
die: /* SIGKILL: what was in the air may arrive all the same; a new process takes its place */
    atomic {
        if :: HAS(air, 0) -> if :: mails[0]++ :: skip fi :: else fi;
        if :: HAS(air, 1) -> if :: mails[1]++ :: skip fi :: else fi;
        dead = dead | BIT(me);
        inst[instances] = live; cur[MAILER(s)] = instances; instances++;
        hand[s] = NB
    };
    goto idle;
fin:
    skip
}

/* --- the leader, the clock and the bus ---------------------------------------------------- */
#define ANY(x) (state[0] == x || state[1] == x)
#define OPEN(b) (bstate[b] == queued || bstate[b] == sending)
#define TERMINAL(u) (state[u] == sent || state[u] == ambiguous)
#define CURRENT(i) (i == cur[0] || i == cur[1])

proctype leader() {
    byte i, b, u_, part;
end_turn: /* also where all rests when the job is done */
    do
    :: job == completed && reopens == 0 -> break
    :: else ->
        if
        /* time: a lease runs out, and may be renewed before it is swept */
        :: atomic { (expiries > 0 || (dead & 1)) && inst[0] == live -> expiries = (dead & 1 -> expiries : expiries - 1); inst[0] = over }
        :: atomic { (expiries > 0 || (dead & 2)) && inst[1] == live -> expiries = (dead & 2 -> expiries : expiries - 1); inst[1] = over }
        :: atomic { (expiries > 0 || (dead & 4)) && inst[2] == live -> expiries = (dead & 4 -> expiries : expiries - 1); inst[2] = over }
        :: atomic { (expiries > 0 || (dead & 8)) && inst[3] == live -> expiries = (dead & 8 -> expiries : expiries - 1); inst[3] = over }
        :: atomic { inst[0] == over && !(dead & 1) && CURRENT(0) -> inst[0] = live }  /* instance_renew */
        :: atomic { inst[1] == over && !(dead & 2) && CURRENT(1) -> inst[1] = live }
        /* expire: the instance and all it owns, in one statement */
        :: atomic { inst[0] == over || inst[1] == over || inst[2] == over || inst[3] == over ->
            i = 0;
            do
            :: i < NI -> if :: inst[i] == over -> inst[i] = swept :: else fi; i++
            :: else -> break
            od;
            b = 0;
            do
            :: b < NB -> if :: bstate[b] == sending && inst[owner[b]] == swept -> back(b) :: else fi; b++
            :: else -> break
            od;
            i = 0; b = 0 }
        /* redo: a queued batch of which nothing is on its way is due again */
        :: atomic { job == in_progress && bstate[0] == queued && copies[0] == 0 -> copies[0]++ }
        :: atomic { job == in_progress && bstate[1] == queued && copies[1] == 0 -> copies[1]++ }
        :: atomic { job == in_progress && bstate[2] == queued && copies[2] == 0 -> copies[2]++ }
        :: atomic { job == in_progress && bstate[3] == queued && copies[3] == 0 -> copies[3]++ }
        /* the bus doubles and loses */
        :: atomic { doubles > 0 && copies[0] == 0 && epoch[0] > 0 -> doubles--; copies[0]++ } /* a late copy */
        :: atomic { doubles > 0 && copies[1] == 0 && epoch[1] > 0 -> doubles--; copies[1]++ }
        :: atomic { doubles > 0 && copies[0] == 1 -> doubles--; copies[0]++ }
        :: atomic { copies[0] > 0 && doubles > 0 -> copies[0]-- }
        /* retry: who is deferred and due gets a batch of his own */
        :: atomic { job == in_progress && ANY(deferred) && batches < NB ->
            members[batches] = (state[0] == deferred) | ((state[1] == deferred) << 1);
            if :: state[0] == deferred -> state[0] = requeued; dbatch[0] = batches :: else fi;
            if :: state[1] == deferred -> state[1] = requeued; dbatch[1] = batches :: else fi;
            bstate[batches] = queued; batches++ }
        /* split: a queued batch of two into its two */
        :: atomic { splits > 0 && job == in_progress && bstate[0] == queued && batches + 2 <= NB ->
            splits--;
            u_ = 0; part = 0;
            do
            :: u_ < NU ->
                if
                :: DUE(u_, 0) ->
                    members[batches] = BIT(u_); bstate[batches] = queued; part++;
                    if :: state[u_] == requeued -> dbatch[u_] = batches :: else fi;
                    batches++
                :: else
                fi; u_++
            :: else -> break
            od;
            bstate[0] = (part > 0 -> split : done); u_ = 0; part = 0 }
        :: atomic { pauses > 0 && job == in_progress -> pauses--; job = paused }
        :: atomic { job == paused -> job = in_progress }
        /* forget: a claim of mine that is in no hands of mine */
        :: atomic { bstate[0] == sending && CURRENT(owner[0]) && !(dead & BIT(owner[0])) && inst[owner[0]] == live &&
            hand[0] != 0 && hand[1] != 0 -> back(0) }
        :: atomic { bstate[1] == sending && CURRENT(owner[1]) && !(dead & BIT(owner[1])) && inst[owner[1]] == live &&
            hand[0] != 1 && hand[1] != 1 -> back(1) }
        /* complete: the proof (P3) */
        :: atomic { job == in_progress && !OPEN(0) && !OPEN(1) && !OPEN(2) && !OPEN(3) && TERMINAL(0) && TERMINAL(1) ->
            job = completed }
        /* reopen: ambiguous ones are tried again, and that is counted */
        :: atomic { job == completed && reopens > 0 ->
            reopens--;
            if
            :: ANY(ambiguous) && batches < NB ->
                if :: state[0] == ambiguous -> state[0] = deferred; maybe_doubles[0]++ :: else fi;
                if :: state[1] == ambiguous -> state[1] = deferred; maybe_doubles[1]++ :: else fi;
                job = in_progress
            :: else
            fi }
        fi
    od
}

#if LATES
proctype late_try() {
end_late:
    do
    :: atomic { held_up ->
        held_up = false;
        if
        :: HOLDS(l_batch, l_epoch, l_owner) -> intents[l_batch] = (intents[l_batch] & (ALL - l_withdrawn)) | l_opened
        :: else
        fi;
        l_batch = 0; l_epoch = 0; l_owner = 0; l_withdrawn = 0; l_opened = 0 }
    od
}
#endif

init {
    atomic {
        members[0] = ALL; bstate[0] = queued; copies[0] = 1; /* page */
        inst[0] = live; cur[0] = 0; instances = 1;
#ifndef SAME
        inst[1] = live; cur[1] = 1; instances = 2;
#endif
#if LATES
        run late_try();
#endif
        run leader(); run slot(0); run slot(1)
    }
}

/* P6, and the policy hold: nobody twice; with resend (or reopened) no more often than recorded */
#define FAIR(u) (mails[u] <= 1 + maybe_doubles[u])
/* the ledger never says sent of a mail that did not go out */
#define TRUE(u) (state[u] != sent || mails[u] > 0)
/* P3: completed means that everybody has a terminal outcome */
#define PROVED(u) (job != completed || TERMINAL(u))
/* P1: everybody got a mail, or the ledger says why not */
#define NOT_MISSED(u) (job != completed || mails[u] > 0 || state[u] == ambiguous)
active proctype invariants() {
end_watch:
    do
    :: atomic { !(FAIR(0) && FAIR(1)) -> assert(false) }
    :: atomic { !(TRUE(0) && TRUE(1)) -> assert(false) }
    :: atomic { !(PROVED(0) && PROVED(1)) -> assert(false) }
    :: atomic { !(NOT_MISSED(0) && NOT_MISSED(1)) -> assert(false) }
    od
}
