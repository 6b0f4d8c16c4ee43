#include "engine/base/hook.h"

#if defined(Q_HOOKS) && Q_HOOKS
void (*q_hook_fn)(const char *name);
void (*q_hook_rmw_fn)(const char *function, bool is_done);
void (*q_hook_copy_fn)(const char *function, size_t len);
#else
// ISO C wants a translation unit to hold something; what users get has no hooks.
typedef int q_hook_nothing;
#endif
