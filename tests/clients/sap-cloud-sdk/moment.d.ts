//! The generated BatchRequest.ts names `Moment`, of a function that returns a time, without importing it.

declare type Moment = import('moment').Moment;
