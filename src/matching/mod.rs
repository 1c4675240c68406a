//! event → the rules it satisfies, out of many thousands. One index over all rules; pure.
