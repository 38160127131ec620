//! Shared by the workspace tests: where the goldens and the optional real data are.
