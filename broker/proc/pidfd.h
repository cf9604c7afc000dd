/* Signals by descriptor (pidfd_send_signal(2)): they never reach another process that has got the same number since. */
#pragma once

/* To the process that PIDFD stands for; 0 as SIGNAL only asks. Returns 0; -ESRCH, it has ended; or another negative
 * errno. */
int pidfd_signal(int pidfd, int signal);

/* To the process group of the number that process had. That is known even when the process has ended: as long as the
 * group has members the number is theirs, and afterwards PIDFD stands for nobody. Returns 0; -ESRCH, nobody is in it;
 * -EINVAL before Linux 6.9; or another negative errno. */
int pidfd_signal_group(int pidfd, int signal);
