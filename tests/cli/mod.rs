//! The program as scripts and people use it.

mod broken;
mod commands;
mod exit;
mod hostile;
mod inputs;
mod outputs;
mod signatures;
mod workbench;
