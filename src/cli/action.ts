/** The function that commander runs for a command. */
import type { Command } from 'commander';
import type { Terminal } from './terminal.ts';

/** What a command does with its arguments; returns the exit code. */
export type Work = (terminal: Terminal, command: Command, ...given: never[]) => Promise<number>;

/** Wraps a command's work for commander. */
export type Action = (work: Work) => (this: Command, ...given: unknown[]) => Promise<void>;
