// Lets TypeScript accept the imports of styles.
/// <reference types="vite/client" />
