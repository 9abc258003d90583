/*
 * The fence before writers, as an erasure uses it (docs/decisions/0028 and 0036).
 *
 * A writer knows an epoch, loads the visitor, copies events or a refusal under the visitor's key, looks at the epoch, and
 * commits. An erasure destroys the key and raises the epoch in one transaction, waits until the transactions that hold
 * the lock of either table have ended, and then appends VisitorErased. Its process may be killed at any step; another
 * one goes on, and waits without raising the epoch again. A second erasure, of another visitor, may run beside it.
 *
 * Searched for: an event of the erased visitor that is behind VisitorErased, by its position or by its commit, and a
 * refused text under the destroyed key that is committed after the fence.
 *
 * Faults, each by its own macro, that the search must find:
 *   NO_WAIT            the fence does not wait
 *   LISTED_TOO_EARLY   the fence lists the writers before the new epoch is committed
 *   EVENTS_ONLY        the fence lists the holders of the events table alone
 *   NO_LOOK            a writer does not look at the epoch
 *   LOOK_FIRST         a writer looks before it has the lock; a snapshot of its first statement does the same
 *   LOAD_FIRST         a writer loads the visitor, and learns the epoch afterwards
 *   RESUME_AT_ONCE     a process that goes on with an erasure does not wait again
 *   ERASED_TOO_EARLY   VisitorErased is appended in the transaction that destroys the key
 */

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef APPENDS
#define APPENDS 2 /* tries of each writer; one that is refused for its epoch counts */
#endif
#ifndef KILLS
#define KILLS 1 /* of the process that erases */
#endif
#ifndef OTHERS
#define OTHERS 1 /* erasures of another visitor */
#endif

#define BIT(n) (1 << (n))

byte epoch = 1;
bool key_exists = true; /* of the visitor that is erased */
byte drawn;             /* the last value of the sequence */
byte erased_at;         /* the position of VisitorErased, once it is drawn; 0 before */
bool is_fenced;         /* the fence has returned */
byte event_holders;     /* writers that hold ROW EXCLUSIVE on the events table */
byte refusal_holders;   /* writers that hold it on the table of refusals */
byte awaited;           /* by the erasure */

/* A writer that stops between any two steps is a writer that waits there for long: no step need ever be taken. */
proctype writer(byte me) {
  byte appends, known, position;
  bool has_key, is_refusal;

  known = epoch; /* read from the store once */
  do
  :: appends < APPENDS ->
#ifdef LOAD_FIRST
     has_key = key_exists;
     known = epoch;
#else
     has_key = key_exists;
#endif
     if
     :: is_refusal = true
     :: is_refusal = false
     fi;
#ifdef LOOK_FIRST
     if
     :: atomic { known != epoch -> known = epoch; goto over }
     :: known == epoch
     fi;
#endif
     atomic {
       if
       :: is_refusal -> refusal_holders = refusal_holders | BIT(me)
       :: else -> event_holders = event_holders | BIT(me)
       fi
     }
     if
     :: is_refusal
     :: atomic { !is_refusal -> drawn++; position = drawn }
     fi;
#if !defined(NO_LOOK) && !defined(LOOK_FIRST)
     if
     :: atomic { known != epoch -> known = epoch; goto unlock } /* the error tells the epoch */
     :: known == epoch
     fi;
#endif
     if
     :: atomic {
          /* without the key, the writer has made the visitor anew, with another key: nothing of that is erased */
          assert(!has_key || !is_fenced);
          assert(!has_key || is_refusal || !erased_at || position < erased_at)
        }
     :: skip /* rolls back, or its connection is lost */
     fi;
unlock:
     atomic {
       event_holders = event_holders & ~BIT(me);
       refusal_holders = refusal_holders & ~BIT(me);
       awaited = awaited & ~BIT(me)
     }
over:
     atomic { appends++; position = 0; has_key = false; is_refusal = false }
  :: atomic { appends == APPENDS -> break }
  od
}

inline list_holders() {
#ifdef EVENTS_ONLY
  awaited = event_holders
#else
  awaited = event_holders | refusal_holders
#endif
}

proctype erasure() {
  byte kills;

#ifdef LISTED_TOO_EARLY
  list_holders();
#endif
#ifdef ERASED_TOO_EARLY
  atomic { drawn++; erased_at = drawn }
#endif
  atomic { key_exists = false; epoch++ } /* committed as one */
again:
#if !defined(NO_WAIT) && !defined(LISTED_TOO_EARLY)
  list_holders();
#endif
#ifndef NO_WAIT
  do
  :: awaited == 0 -> break
  :: atomic { kills < KILLS -> kills++; awaited = 0;
#ifdef RESUME_AT_ONCE
       break
#else
       goto again
#endif
     }
  od;
#endif
  is_fenced = true;
#ifndef ERASED_TOO_EARLY
  atomic { drawn++; erased_at = drawn }
#endif
}

/* What another erasure does to the writers of this visitor: it raises the epoch. */
proctype other() {
  byte erasures;
  do
  :: erasures < OTHERS -> atomic { erasures++; epoch++ }
  :: break
  od
}

init {
  byte n;
  atomic {
    do
    :: n < WRITERS -> run writer(n); n++
    :: else -> break
    od;
    run erasure();
    run other()
  }
}
