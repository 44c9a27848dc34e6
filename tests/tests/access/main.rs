//! Who may use the gateway, seen from outside: the commands that make users and keys on a headless box, certificates that are
//! renewed, signed webhooks, and floods of requests beside which devices are polled as before.

mod command_line;
mod contract;
mod webhooks;
