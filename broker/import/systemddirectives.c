/* What each directive of systemd's is: the table of systemd.directives(7), as far as sockets and services have them. */
#include "import/systemd.h"

#define ONCE DIRECTIVE_ONCE
#define LIST DIRECTIVE_LIST
#define LIST_SET DIRECTIVE_LIST_SET
#define ALWAYS DIRECTIVE_ALWAYS

#define KEY(name, key)                                                                                                 \
        { name, systemd_apply_key, key, NULL, ONCE, GROUP_NONE }
#define OPTION(name, key)                                                                                              \
        { name, systemd_apply_option, key, NULL, ONCE, GROUP_NONE }
#define NOTE(name, key, text)                                                                                          \
        { name, systemd_apply_note, key, text, ONCE, GROUP_NONE }
#define GROUP(name, times, group)                                                                                      \
        { name, systemd_apply_group, NULL, NULL, times, group }
#define LATER(name, times)                                                                                             \
        { name, NULL, NULL, NULL, times, GROUP_NONE }
#define LISTEN(name, prefix)                                                                                           \
        { name, systemd_apply_listen, NULL, prefix, LIST, GROUP_NONE }
#define LIMIT(name, limit)                                                                                             \
        { name, systemd_apply_limit, limit, NULL, ONCE, GROUP_NONE }

struct names {
        enum systemd_group group;
        const char *const *items; /* one that ends in * stands for all that begin so */
        size_t count;
};

/* The broker opens sockets before it starts what they are for, and ends everything when it ends. */
static bool is_own(const struct conversion *conv, const char *name, size_t size) {
        static const char *const targets[] = {"sockets.target", "shutdown.target"};

        for (size_t i = 0; i < LENGTH_OF(targets); i++)
                if (strlen(targets[i]) == size && strncmp(targets[i], name, size) == 0)
                        return true;
        for (size_t i = 0; i < conv->socket_count; i++)
                if (strlen(conv->sockets[i]->name) == size && strncmp(conv->sockets[i]->name, name, size) == 0)
                        return true;
        return conv->service && strlen(conv->service->name) == size && strncmp(conv->service->name, name, size) == 0;
}

/* All words of a line are about this very service: then the broker does what it asks for. */
static bool is_about_itself(const struct conversion *conv, const char *value) {
        while (*value) {
                size_t size = strcspn(value, " \t");

                if (!is_own(conv, value, size))
                        return false;
                value += size + strspn(value + size, " \t");
        }
        return true;
}

/* A dependency is never carried over, so one whose specifiers are not known refuses nothing. */
static void apply_dependency(struct conversion *conv, const struct directive *directive UNUSED,
                             const struct unit_entry *entry) {
        AUTO(buf_deinit) struct buf value = BUF_NULL, why = BUF_NULL;
        bool machine = false, known = unitspec_expand(&conv->scope, entry->value, &value, &machine, &why);

        systemd_add_to_group(conv, known && is_about_itself(conv, buf_text(&value)) ? GROUP_HELD : GROUP_ORDER, entry);
}

/* Nor does a description, which nothing depends on. */
static void apply_description(struct conversion *conv, const struct directive *directive,
                              const struct unit_entry *entry) {
        AUTO(buf_deinit) struct buf value = BUF_NULL, why = BUF_NULL;
        bool machine = false;

        if (conv->unit != conv->service)
                systemd_add_to_group(conv, GROUP_ABOUT, entry);
        else if (!unitspec_expand(&conv->scope, entry->value, &value, &machine, &why))
                systemd_note(conv, directive->key, entry, "%s", buf_text(&why));
        else
                sheet_text(conv->out, directive->key, buf_text(&value));
}

static const struct directive unit_directives[] = {
        {"Description", apply_description, "description", NULL, ONCE, GROUP_NONE},
        GROUP("Documentation", LIST, GROUP_ABOUT),
        GROUP("SourcePath", ONCE, GROUP_ABOUT),
        {"After", apply_dependency, NULL, NULL, ALWAYS, GROUP_NONE},
        {"Before", apply_dependency, NULL, NULL, ALWAYS, GROUP_NONE},
        {"Requires", apply_dependency, NULL, NULL, ALWAYS, GROUP_NONE},
        {"Wants", apply_dependency, NULL, NULL, ALWAYS, GROUP_NONE},
        {"BindsTo", apply_dependency, NULL, NULL, ALWAYS, GROUP_NONE},
        {"Conflicts", apply_dependency, NULL, NULL, ALWAYS, GROUP_NONE},
        GROUP("DefaultDependencies", ONCE, GROUP_HELD),
};

static const struct directive service_unit_directives[] = {
        LATER("StartLimitIntervalSec", ONCE),
        LATER("StartLimitInterval", ONCE),
        LATER("StartLimitBurst", ONCE),
};

static const struct directive service_install_directives[] = {
        LATER("WantedBy", LIST),
        LATER("RequiredBy", LIST),
        LATER("UpheldBy", LIST),
};

static const struct directive service_directives[] = {
        LATER("Type", ONCE),
        LATER("BusName", ONCE),
        LATER("NotifyAccess", ONCE),
        LATER("RemainAfterExit", ONCE),
        LATER("ExecStart", LIST),
        LATER("ExecStop", LIST),
        LATER("TimeoutSec", ONCE),
        LATER("TimeoutStartSec", ONCE),
        LATER("TimeoutStopSec", ONCE),
        LATER("KillMode", ONCE),
        LATER("SendSIGKILL", ONCE),
        LATER("Restart", ONCE),
        LATER("RestartSec", ONCE),
        LATER("WatchdogSec", ONCE),
        LATER("Sockets", LIST),
        LATER("StartLimitInterval", ONCE),
        LATER("StartLimitBurst", ONCE),
        LATER("FileDescriptorStoreMax", ONCE),
        LATER("NonBlocking", ONCE),
        KEY("KillSignal", "stop_signal"),
        KEY("RestartMaxDelaySec", "restart_delay_max"),
        LATER("RuntimeMaxSec", ONCE),
        NOTE("WatchdogSignal", "watchdog", "a server that is silent for too long gets stop_signal"),
        NOTE("RestartKillSignal", "stop_signal", "there is one signal, for stops and restarts"),
        NOTE("FinalKillSignal", "stop_grace_period", "what does not end in time gets SIGKILL"),
        NOTE("SendSIGHUP", "stop_signal", "nothing is sent beside stop_signal"),
        NOTE("RuntimeRandomizedExtraSec", "max_runtime", "max_runtime has no chance in it"),
        NOTE("TimeoutAbortSec", "stop_grace_period", "a server that is silent for too long is stopped as any other is"),
        NOTE("TimeoutStartFailureMode", "start_timeout", "a server that is not ready in time gets stop_signal"),
        NOTE("TimeoutStopFailureMode", "stop_grace_period", "what does not end in time gets SIGKILL"),
        NOTE("ExitType", "wait", "a server has ended when its first process has"),
};

/* Those of systemd.exec(5) that have keys. */
static const struct directive exec_directives[] = {
        LATER("User", ONCE),
        LATER("Group", ONCE),
        LATER("DynamicUser", ONCE),
        {"SupplementaryGroups", systemd_apply_groups, "group_add", NULL, LIST, GROUP_NONE},
        LATER("WorkingDirectory", ONCE),
        KEY("RootDirectory", "root_dir"),
        KEY("UMask", "umask"),
        KEY("Nice", "nice"),
        KEY("OOMScoreAdjust", "oom_score_adj"),
        {"CPUAffinity", systemd_apply_affinity, "cpuset", NULL, LIST, GROUP_NONE},
        LATER("NoNewPrivileges", ONCE),
        LATER("CapabilityBoundingSet", LIST_SET),
        LATER("AmbientCapabilities", LIST),
        LATER("Environment", LIST),
        LATER("EnvironmentFile", LIST),
        LATER("PassEnvironment", LIST),
        LATER("UnsetEnvironment", LIST),
        LATER("StandardInput", ONCE),
        LATER("StandardOutput", ONCE),
        LATER("StandardError", ONCE),
        LATER("RuntimeDirectory", LIST),
        LATER("StateDirectory", LIST),
        LATER("CacheDirectory", LIST),
        LATER("LogsDirectory", LIST),
        LATER("ConfigurationDirectory", LIST),
        NOTE("SetLoginEnvironment", "environment", "HOME, USER, LOGNAME and SHELL are set where user is"),
        NOTE("ExecSearchPath", "environment", "programs are looked for in PATH"),
        {"IgnoreSIGPIPE", systemd_apply_sigpipe, "command", NULL, ONCE, GROUP_NONE},
        LIMIT("LimitCPU", "cpu"),
        LIMIT("LimitFSIZE", "fsize"),
        LIMIT("LimitDATA", "data"),
        LIMIT("LimitSTACK", "stack"),
        LIMIT("LimitCORE", "core"),
        LIMIT("LimitRSS", "rss"),
        LIMIT("LimitNOFILE", "nofile"),
        LIMIT("LimitAS", "as"),
        LIMIT("LimitNPROC", "nproc"),
        LIMIT("LimitMEMLOCK", "memlock"),
        LIMIT("LimitLOCKS", "locks"),
        LIMIT("LimitSIGPENDING", "sigpending"),
        LIMIT("LimitMSGQUEUE", "msgqueue"),
        LIMIT("LimitNICE", "nice"),
        LIMIT("LimitRTPRIO", "rtprio"),
        LIMIT("LimitRTTIME", "rttime"),
};

static const struct directive socket_directives[] = {
        LISTEN("ListenStream", ""),
        LISTEN("ListenDatagram", "udp:"),
        LISTEN("ListenSequentialPacket", "seqpacket:"),
        LISTEN("ListenFIFO", "fifo:"),
        LISTEN("ListenSpecial", "special:"),
        LISTEN("ListenNetlink", "netlink:"),
        LISTEN("ListenMessageQueue", "mqueue:"),
        LISTEN("ListenUSBFunction", NULL),
        OPTION("SocketProtocol", "protocol"),
        OPTION("Backlog", "backlog"),
        LATER("BindIPv6Only", ONCE),
        OPTION("ReusePort", "reuse_port"),
        OPTION("FreeBind", "free_bind"),
        OPTION("Transparent", "transparent"),
        OPTION("BindToDevice", "bind_to_device"),
        LATER("KeepAlive", ONCE),
        LATER("KeepAliveTimeSec", ONCE),
        LATER("KeepAliveIntervalSec", ONCE),
        LATER("KeepAliveProbes", ONCE),
        OPTION("NoDelay", "no_delay"),
        OPTION("DeferAcceptSec", "defer_accept"),
        OPTION("ReceiveBuffer", "receive_buffer"),
        OPTION("SendBuffer", "send_buffer"),
        OPTION("Mark", "mark"),
        OPTION("Priority", "priority"),
        OPTION("IPTOS", "ip_tos"),
        OPTION("IPTTL", "ip_ttl"),
        OPTION("TCPCongestion", "tcp_congestion"),
        OPTION("PassCredentials", "pass_credentials"),
        OPTION("PassSecurity", "pass_security"),
        OPTION("PassPacketInfo", "pass_packet_info"),
        OPTION("Timestamping", "timestamping"),
        OPTION("PipeSize", "pipe_size"),
        OPTION("MessageQueueMaxMessages", "max_messages"),
        OPTION("MessageQueueMessageSize", "message_size"),
        OPTION("Writable", "writable"),
        OPTION("SocketMode", "socket_mode"),
        LATER("SocketUser", ONCE),
        LATER("SocketGroup", ONCE),
        OPTION("DirectoryMode", "directory_mode"),
        LATER("RemoveOnStop", ONCE),
        LATER("Symlinks", LIST),
        LATER("FileDescriptorName", ONCE),
        LATER("Accept", ONCE),
        LATER("Service", ONCE),
        LATER("MaxConnections", ONCE),
        LATER("MaxConnectionsPerSource", ONCE),
        LATER("TriggerLimitIntervalSec", ONCE),
        LATER("TriggerLimitBurst", ONCE),
        LATER("FlushPending", ONCE),
        LATER("IPAddressAllow", LIST),
        LATER("IPAddressDeny", LIST),
        NOTE("Broadcast", "listen", "there is no key for SO_BROADCAST"),
        NOTE("PassFileDescriptorsToExec", "listen", "commands of the socket unit are not run"),
        NOTE("PollLimitIntervalSec", "listen", "a socket that is never read is paused by trigger_limit alone"),
        NOTE("PollLimitBurst", "listen", "a socket that is never read is paused by trigger_limit alone"),
        NOTE("DeferTrigger", "listen", "traffic starts the service at once"),
        NOTE("DeferTriggerMaxSec", "listen", "traffic starts the service at once"),
        NOTE("SmackLabel", "listen", "labels of SMACK have no key here"),
        NOTE("SmackLabelIPIn", "listen", "labels of SMACK have no key here"),
        NOTE("SmackLabelIPOut", "listen", "labels of SMACK have no key here"),
        NOTE("SELinuxContextFromNet", "listen", "labels of SELinux have no key here"),
        GROUP("ExecStartPre", LIST, GROUP_SOCKET_COMMANDS),
        GROUP("ExecStartPost", LIST, GROUP_SOCKET_COMMANDS),
        GROUP("ExecStopPre", LIST, GROUP_SOCKET_COMMANDS),
        GROUP("ExecStopPost", LIST, GROUP_SOCKET_COMMANDS),
        GROUP("TimeoutSec", ONCE, GROUP_SOCKET_COMMANDS),
};

static const char *const order_names[] = {
        "Requisite",
        "BindTo",
        "Upholds",

        "PartOf",
        "JoinsNamespaceOf",
        "RequiresMountsFor",
        "WantsMountsFor",
        "RequiresOverridable",
        "RequisiteOverridable",
};
static const char *const condition_names[] = {"Condition*", "Assert*"};
static const char *const manager_names[] = {
        "OnSuccess*",
        "OnFailure*",
        "Propagate*",
        "Reload*",
        "StopPropagatedFrom",
        "StopWhenUnneeded",
        "RefuseManual*",
        "AllowIsolate",
        "IgnoreOnIsolate",
        "JobTimeout*",
        "JobRunningTimeoutSec",
        "StartLimit*",
        "FailureAction*",
        "SuccessAction*",
        "RebootArgument",
        "CollectMode",
        "SurviveFinalKillSignal",
};
static const char *const install_names[] = {"Alias", "WantedBy", "RequiredBy", "UpheldBy", "Also", "DefaultInstance"};
static const char *const command_names[] = {
        "ExecCondition",  "ExecStartPre", "ExecStartPost",        "ExecReload",
        "ExecReloadPost", "ExecStopPost", "PermissionsStartOnly", "RootDirectoryStartOnly",
};
static const char *const restart_names[] = {"RestartPreventExitStatus", "RestartForceExitStatus", "SuccessExitStatus",
                                            "RestartSteps", "RestartMode"};
static const char *const service_manager_names[] = {
        "PIDFile",       "GuessMainPID",    "StartLimitAction",
        "FailureAction", "RebootArgument",  "USBFunction*",
        "OOMPolicy",     "ReloadSignal",    "FileDescriptorStorePreserve",
        "OpenFile",      "RefreshOnReload",
};
static const char *const sandbox_names[] = {
        "RootImage*",
        "RootHash*",
        "RootVerity",
        "RootEphemeral",
        "Extension*",
        "MountImages",
        "SecureBits",
        "KeyringMode",
        "Protect*",
        "ProcSubset",
        "SystemCall*",
        "MemoryDenyWriteExecute",
        "Restrict*",
        "LockPersonality",
        "ReadWrite*",
        "ReadOnly*",
        "Inaccessible*",
        "ExecPaths",
        "NoExecPaths",
        "Bind*Paths",
        "BindPaths",
        "BindReadOnlyPaths",
        "TemporaryFileSystem",
        "Private*",
        "NetworkNamespacePath",
        "IPCNamespacePath",
        "Mount*",
        "Personality",
        "SetCredential*",
        "LoadCredential*",
        "ImportCredential",
        "SELinuxContext",
        "AppArmorProfile",
        "SmackProcessLabel",
        "RemoveIPC",
        "PAMName",
        "BPFProgram",
        "IPAddress*",
        "IPIngressFilterPath",
        "IPEgressFilterPath",
        "SocketBind*",
        "Device*",
        "NFTSet",
        "CoredumpFilter",
        "TimerSlackNSec",
        "DelegateNamespaces",
};
static const char *const resource_names[] = {
        "Slice",
        "Allowed*",
        "Startup*",
        "CPU*",
        "Memory*",
        "DefaultMemory*",
        "DefaultStartupMemory*",
        "IO*",
        "BlockIO*",
        "Tasks*",
        "Delegate*",
        "DisableControllers",
        "ManagedOOM*",
        "NUMA*",
        "DefaultTasks*",
        "CoredumpReceive",
        "EffectiveMemory*",
        "IPAccounting",
};
static const char *const log_names[] = {"Syslog*", "Log*", "TTY*", "Utmp*", "StandardInputText", "StandardInputData"};
static const char *const directory_names[] = {
        "RuntimeDirectoryMode", "RuntimeDirectoryPreserve", "StateDirectoryMode",
        "CacheDirectoryMode",   "LogsDirectoryMode",        "ConfigurationDirectoryMode",
        "TimeoutCleanSec",      "StateDirectory*",          "CacheDirectory*",
        "LogsDirectory*",       "ConfigurationDirectory*",  "RuntimeDirectory*",
};

#define NAMES(group, items)                                                                                            \
        { group, items, LENGTH_OF(items) }

static const struct names unit_groups[] = {
        NAMES(GROUP_ORDER, order_names),
        NAMES(GROUP_CONDITIONS, condition_names),
        NAMES(GROUP_MANAGER, manager_names),
};
static const struct names install_groups[] = {NAMES(GROUP_INSTALL, install_names)};
static const struct names service_groups[] = {
        NAMES(GROUP_COMMANDS, command_names),
        NAMES(GROUP_RESTART, restart_names),
        NAMES(GROUP_MANAGER, service_manager_names),
};
static const struct names exec_groups[] = {
        NAMES(GROUP_DIRECTORIES, directory_names),
        NAMES(GROUP_SANDBOX, sandbox_names),
        NAMES(GROUP_RESOURCES, resource_names),
        NAMES(GROUP_LOG, log_names),
};

/* What the names of a group are, with times that keep every line. */
static const struct directive group_directives[GROUP_N] = {
        [GROUP_ORDER] = GROUP("", ALWAYS, GROUP_ORDER),
        [GROUP_CONDITIONS] = GROUP("", LIST, GROUP_CONDITIONS),
        [GROUP_COMMANDS] = GROUP("", LIST, GROUP_COMMANDS),
        [GROUP_SOCKET_COMMANDS] = GROUP("", LIST, GROUP_SOCKET_COMMANDS),
        [GROUP_RESTART] = GROUP("", LIST, GROUP_RESTART),
        [GROUP_MANAGER] = GROUP("", LIST, GROUP_MANAGER),
        [GROUP_DIRECTORIES] = GROUP("", LIST, GROUP_DIRECTORIES),
        [GROUP_SANDBOX] = GROUP("", LIST_SET, GROUP_SANDBOX),
        [GROUP_RESOURCES] = GROUP("", LIST, GROUP_RESOURCES),
        [GROUP_LOG] = GROUP("", LIST, GROUP_LOG),
        [GROUP_INSTALL] = GROUP("", LIST, GROUP_INSTALL),
};

static const struct directive *find_in_table(const struct directive *table, size_t count, const char *name) {
        for (size_t i = 0; i < count; i++)
                if (strcmp(table[i].name, name) == 0)
                        return &table[i];
        return NULL;
}

static bool matches(const char *pattern, const char *name) {
        size_t size = strlen(pattern);

        if (pattern[size - 1] == '*')
                return strncmp(pattern, name, size - 1) == 0;
        return strcmp(pattern, name) == 0;
}

static const struct directive *find_in_groups(const struct names *groups, size_t count, const char *name) {
        for (size_t i = 0; i < count; i++)
                for (size_t j = 0; j < groups[i].count; j++)
                        if (matches(groups[i].items[j], name))
                                return &group_directives[groups[i].group];
        return NULL;
}

#define IN_TABLE(table, name) find_in_table(table, LENGTH_OF(table), name)
#define IN_GROUPS(groups, name) find_in_groups(groups, LENGTH_OF(groups), name)

static const struct directive *find_in_unit(bool is_service, const char *name) {
        const struct directive *found = IN_TABLE(unit_directives, name);

        if (!found && is_service)
                found = IN_TABLE(service_unit_directives, name);
        return found ? found : IN_GROUPS(unit_groups, name);
}

static const struct directive *find_in_install(bool is_service, const char *name) {
        const struct directive *found = is_service ? IN_TABLE(service_install_directives, name) : NULL;

        return found ? found : IN_GROUPS(install_groups, name);
}

/* What stands in [Socket] beside its own directives is about the commands of the socket unit. */
static const struct directive *find_in_socket(const char *name) {
        static const char *const kill_names[] = {"KillMode",    "KillSignal",      "RestartKillSignal", "SendSIGHUP",
                                                 "SendSIGKILL", "FinalKillSignal", "WatchdogSignal"};
        static const struct names kill_groups[] = {NAMES(GROUP_SOCKET_COMMANDS, kill_names)};
        const struct directive *found = IN_TABLE(socket_directives, name);

        if (found)
                return found;
        if (IN_TABLE(exec_directives, name) || IN_GROUPS(exec_groups, name) || IN_GROUPS(kill_groups, name))
                return &group_directives[GROUP_SOCKET_COMMANDS];
        return NULL;
}

static const struct directive *find_in_service(const char *name) {
        const struct directive *found = IN_TABLE(service_directives, name);

        if (!found)
                found = IN_TABLE(exec_directives, name);
        if (!found)
                found = IN_GROUPS(service_groups, name);
        return found ? found : IN_GROUPS(exec_groups, name);
}

const struct directive *systemd_find_directive(const char *suffix, const char *section, const char *name) {
        bool is_service = strcmp(suffix, ".service") == 0;

        if (strcmp(section, "Unit") == 0)
                return find_in_unit(is_service, name);
        if (strcmp(section, "Install") == 0)
                return find_in_install(is_service, name);
        if (strcmp(section, is_service ? "Service" : "Socket") != 0)
                return NULL;
        return is_service ? find_in_service(name) : find_in_socket(name);
}
