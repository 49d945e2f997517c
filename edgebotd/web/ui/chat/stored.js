// What this browser keeps: small things in localStorage, files on their way in IndexedDB.

const DATABASE = "edgebotd.chat";
const FILES = "files";

/** @param {string} key */
export function read(key) {
  try {
    const text = localStorage.getItem(key);
    return text === null ? null : JSON.parse(text);
  } catch {
    return null; // written by something else
  }
}

/** @param {string} key @param {unknown} value null removes it @returns {boolean} false: the browser keeps nothing more */
export function write(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** All keys with a prefix. @param {string} prefix */
export function keys(prefix) {
  return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
}

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(FILES);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} ask
 * @returns {Promise<T>}
 */
async function within(mode, ask) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(FILES, mode);
      const request = ask(transaction.objectStore(FILES));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** Keep the files of an entry. Rejects where the browser has no room. @param {string} id @param {Blob[]} blobs */
export const keepFiles = (id, blobs) => within("readwrite", (store) => store.put(blobs, id));

/** @param {string} id @returns {Promise<Blob[] | undefined>} */
export const keptFiles = (id) => within("readonly", (store) => store.get(id));

/** @param {string} id */
export const dropFiles = (id) => within("readwrite", (store) => store.delete(id));
