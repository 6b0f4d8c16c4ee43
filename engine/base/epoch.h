// Epoch: the number of the process, counted on by each fork, so that what is shared in a process can tell whether it is
// its parent's. A page that the kernel wipes in a child (MADV_WIPEONFORK) holds it; neither a process id, which comes
// again, nor a hook at fork, which a library has no business with, would do.
// Thread-free: any thread, at any time; no locks.
#ifndef QUOIT_ENGINE_BASE_EPOCH_H
#define QUOIT_ENGINE_BASE_EPOCH_H

#include <stdint.h>

// q_epoch_begin gives the process's epoch, and begins it when this is the first call in the process or in a child.
// Never the epoch of an ancestor. 0: there is no memory for the page, and nothing was begun.
uint32_t q_epoch_begin(void);

// q_epoch_now gives the epoch that was begun; 0 in a process that has begun none yet.
uint32_t q_epoch_now(void);

#endif
