/*
 * sink.h - where the access log goes: the master opens it and passes the descriptor (IPC_LOG), because workers can open
 * nothing. Opened again on SIGUSR1, for log rotation.
 */
#ifndef GH_MASTER_SINK_H
#define GH_MASTER_SINK_H

/* `path`: "stdout", "journal", "off", or a file (made with mode 0640, appended to). The descriptor, or -1 and errno. */
int sink_open(const char *path);

#endif
