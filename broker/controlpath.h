/* Where the control socket is when nobody says. */
#pragma once

/* $BROKER_CONTROL; or /run/broker/control for root, $XDG_RUNTIME_DIR/broker/control for others. NULL where there
 * is none of them, or no memory. The caller frees it. */
char *controlpath_default(void);
